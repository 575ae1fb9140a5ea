/* cli.c: the command line: options, help, which command. Product on stdout, progress and complaints on stderr;
 * exit 0, 1 (failed), 2 (usage). An option that a command does not know is an error, not a surprise. */
#include "api/cli.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PORT 8420
#define DEFAULT_WAIT_S 60

enum {
    OPT_DATA = 256,
    OPT_JSON,
    OPT_MODEL,
    OPT_NO_MODEL,
    OPT_THREADS,
    OPT_KERNELS,
    OPT_DEVICE,
    OPT_QUANTIZE,
    OPT_PORT,
    OPT_WAIT,
    OPT_PRIVATE,
    OPT_POSSIBLE,
    OPT_CONTEXT,
    OPT_VERSION
};

static const struct option options[] = {
    {"data", required_argument, NULL, OPT_DATA},
    {"json", no_argument, NULL, OPT_JSON},
    {"model", required_argument, NULL, OPT_MODEL},
    {"no-model", no_argument, NULL, OPT_NO_MODEL},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"kernels", required_argument, NULL, OPT_KERNELS},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"quantize", required_argument, NULL, OPT_QUANTIZE},
    {"port", required_argument, NULL, OPT_PORT},
    {"wait", required_argument, NULL, OPT_WAIT},
    {"allow-private", no_argument, NULL, OPT_PRIVATE},
    {"possible", no_argument, NULL, OPT_POSSIBLE},
    {"context", required_argument, NULL, OPT_CONTEXT},
    {"output", required_argument, NULL, 'o'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static const struct command {
    const char *name;
    int (*run)(struct cli *);
    int min, max;     /* arguments */
    const char *args; /* for the usage line */
    int only[3];      /* options that belong to this command and to no other */
} commands[] = {
    {"ingest", command_ingest, 2, INT_MAX, "SET PATH|URL...", {OPT_PRIVATE}},
    {"ask", command_ask, 2, 2, "SET \"question\"", {0}},
    {"answers", command_answers, 1, 1, "SET", {0}},
    {"answer", command_answer, 1, 1, "ID", {0}},
    {"contradictions", command_contradictions, 1, 1, "SET [-o FILE]", {'o', OPT_POSSIBLE}},
    {"serve", command_serve, 0, 0, "[--port N]", {OPT_PORT}},
    {"sets", command_sets, 0, 0, "", {0}},
    {"documents", command_documents, 1, 1, "SET", {0}},
    {"delete", command_delete, 2, 2, "SET DOCUMENT", {0}},
    {"model", command_model, 1, 3, "info [MODEL]|list|pull ORG/NAME [FILE]|import PATH", {OPT_CONTEXT}},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static void help(FILE *f) {
    fprintf(f,
            "Usage: antinomy COMMAND [ARGUMENTS] [OPTIONS]\n"
            "Reads sets of documents, answers from them with exact quotes, finds where they contradict.\n"
            "\n"
            "Documents\n"
            "  ingest SET PATH|URL...    read files, whole folders or web addresses into a set\n"
            "                            (PDF, DOCX, XLSX, CSV, HTML, text ...; the set is made if new)\n"
            "  sets                      list the sets\n"
            "  documents SET             list a set's documents, and why some could not be read\n"
            "  delete SET DOCUMENT       delete a document (name or id) and all that came of it;\n"
            "                            prints the receipt\n"
            "\n"
            "Questions\n"
            "  ask SET \"question\"        answer with quotes: document, page, section\n"
            "  answers SET               list the questions asked of a set, newest first\n"
            "  answer ID                 show an answer given before\n"
            "  contradictions SET        pairs of statements that cannot both hold\n"
            "    -o, --output FILE       write the report: HTML when FILE ends in .html, else JSON\n"
            "                            (default: a summary on the terminal)\n"
            "    --possible              also pairs that only the model proposes (default: no)\n"
            "\n"
            "Service\n"
            "  serve                     the same for browsers and programs, on this machine only\n"
            "    --port N                TCP port on 127.0.0.1; 0 = any free one (default: %d)\n"
            "\n"
            "Models\n"
            "  model info [MODEL]        weights, layers, kernels, memory, card (default: the model\n"
            "                            that answers)\n"
            "    --context N             its memory for N tokens (default: its longest context)\n"
            "  model list                models in the data directory\n"
            "  model pull ORG/NAME [FILE]\n"
            "                            fetch a model into it, or go on with it (FILE: one GGUF\n"
            "                            file of several; $HF_TOKEN: your access token,\n"
            "                            $ANTINOMY_HUB: another hub)\n"
            "  model import PATH         copy a GGUF file or a model's folder into it\n"
            "\n"
            "Options of all commands\n"
            "  --data DIR                data directory (default: $XDG_DATA_HOME/antinomy,\n"
            "                            else ~/.local/share/antinomy)\n"
            "  --model MODEL             folder or file, or ORG/NAME as it was pulled or imported\n"
            "                            (default: $ANTINOMY_MODEL, else the bundled model)\n"
            "  --no-model                search and rules alone (default: with the model)\n"
            "  --threads N               threads to compute with (default: all CPUs)\n"
            "  --kernels NAME            scalar, avx2, avx512... (default: the best this CPU has)\n"
            "  --device NAME             cpu, cuda, cuda:1, cuda:all (default: cpu)\n"
            "  --quantize NAME           int8; q4 on a CPU, fp8 on a GPU (default: as they are)\n"
            "  --wait SECONDS            for another command that uses the directory (default: %d)\n"
            "  --allow-private           ingest: also addresses in private networks (default: no)\n"
            "  --json                    one JSON object on stdout (default: text for people)\n"
            "  -q, --quiet               no progress on stderr (default: a bar on a terminal)\n"
            "  -h, --help                this text\n"
            "  --version                 version\n"
            "\n"
            "Exit status: 0 done, 1 failed, 2 wrong usage.\n",
            DEFAULT_PORT, DEFAULT_WAIT_S);
}

static int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fputs("antinomy: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputs("\nTry 'antinomy --help'.\n", stderr);
    va_end(ap);
    return EXIT_USAGE;
}

static bool number(const char *text, long max, int *out) {
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || v < 0 || v > max) return false;
    *out = (int)v;
    return true;
}

/* Every folder on the way, private when new. */
static int make_dirs(const char *path, struct error *e) {
    char *copy = strdup(path);
    if (copy == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    int rc = 0;
    for (char *p = copy + 1; rc == 0; p++) {
        if (*p != '/' && *p != '\0') continue;
        char was = *p;
        *p = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST)
            rc = error_set(e, ERR_IO, path, "The data directory cannot be made: %s.", strerror(errno));
        *p = was;
        if (was == '\0') break;
    }
    free(copy);
    return rc;
}

/* XDG Base Directory Specification: $XDG_DATA_HOME when absolute, else ~/.local/share. */
static int default_data_dir(char **out, struct error *e) {
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n;
    if (xdg != NULL && xdg[0] == '/')
        n = asprintf(out, "%s/antinomy", xdg);
    else if (home != NULL && home[0] == '/')
        n = asprintf(out, "%s/.local/share/antinomy", home);
    else
        return error_set(e, ERR_ARG, "", "There is no home directory; name the data directory with --data DIR.");
    return n >= 0 ? 0 : error_set(e, ERR_NOMEM, "", "There is not enough memory.");
}

/* The option that belongs to one command only, given to another. */
static const struct command *owner_of(int option) {
    for (size_t i = 0; i < N_COMMANDS; i++)
        for (size_t k = 0; k < 3; k++)
            if (commands[i].only[k] == option) return &commands[i];
    return NULL;
}

int cli_main(int argc, char **argv) {
    struct cli c = {.port = DEFAULT_PORT, .wait_s = DEFAULT_WAIT_S};
    int given[32], n_given = 0, option;
    const char *data = NULL;
    struct error e = {0};
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    opterr = 0;
    while ((option = getopt_long(argc, argv, "o:qh", options, NULL)) != -1) {
        bool good = true;
        switch (option) {
        case OPT_DATA:
            data = optarg;
            break;
        case OPT_JSON:
            c.json = true;
            break;
        case OPT_MODEL:
            c.api.model_path = optarg;
            break;
        case OPT_NO_MODEL:
            c.api.no_model = true;
            break;
        case OPT_THREADS:
            good = number(optarg, 1024, &c.api.n_threads);
            break;
        case OPT_KERNELS:
            c.api.kernels = optarg;
            break;
        case OPT_DEVICE:
            c.api.device = optarg;
            break;
        case OPT_QUANTIZE:
            c.api.quantize = optarg;
            break;
        case OPT_PORT:
            good = number(optarg, 65535, &c.port);
            break;
        case OPT_WAIT:
            good = number(optarg, 86400, &c.wait_s);
            break;
        case OPT_PRIVATE:
            c.allow_private = true;
            break;
        case OPT_POSSIBLE:
            c.possible = true;
            break;
        case OPT_CONTEXT:
            good = number(optarg, INT_MAX, &c.context);
            break;
        case 'o':
            c.output = optarg;
            break;
        case 'q':
            c.quiet = true;
            break;
        case 'h':
            help(stdout);
            return 0;
        case OPT_VERSION:
            printf("antinomy %s\n", API_VERSION);
            return 0;
        default:
            if (optopt == 'o' || optopt >= 256) return usage("option %s needs a value", argv[optind - 1]);
            return usage("unknown option %s", optind > 0 && optind <= argc ? argv[optind - 1] : "");
        }
        if (!good) return usage("'%s' is not a number this option can have", optarg);
        if (n_given < 32) given[n_given++] = option;
    }
    if (optind >= argc) {
        help(stderr);
        return EXIT_USAGE;
    }
    const struct command *command = NULL;
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, argv[optind]) == 0) command = &commands[i];
    if (command == NULL) return usage("there is no command '%s'", argv[optind]);
    for (int i = 0; i < n_given; i++) {
        const struct command *owner = owner_of(given[i]);
        if (owner != NULL && owner != command)
            return usage("that option belongs to '%s', not to '%s'", owner->name, command->name);
    }
    c.args = argv + optind + 1;
    c.n_args = argc - optind - 1;
    if (c.n_args < command->min || c.n_args > command->max)
        return usage("usage: antinomy %s %s", command->name, command->args);
    if (c.api.no_model && c.api.model_path != NULL) return usage("--model and --no-model exclude each other");

    int status = 0;
    if ((data != NULL ? (c.data_dir = strdup(data)) == NULL : default_data_dir(&c.data_dir, &e) != 0) ||
        make_dirs(c.data_dir, &e) != 0) {
        if (e.code == 0) error_set(&e, ERR_NOMEM, "", "There is not enough memory.");
        status = cli_fail(&c, &e);
    } else {
        c.api.data_dir = c.data_dir;
        status = command->run(&c);
    }
    cli_link_close(&c);
    free(c.data_dir);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "antinomy: the output could not be written: %s\n", strerror(errno));
        status = EXIT_FAILED;
    }
    return status;
}
