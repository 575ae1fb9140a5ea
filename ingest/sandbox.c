/* sandbox.c: seccomp (libseccomp) and Landlock (linux/landlock.h) around the reading of one file. Both are inherited
 * over exec, so poppler runs inside them too. Refused system calls return EPERM instead of killing: libraries ask for
 * sockets (nscd) and go on without. Landlock is skipped where the kernel has none; seccomp must work. */
#include "ingest/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool allow_path(int ruleset, const char *path, int fd, uint64_t rights) {
    int own = path ? open(path, O_PATH | O_CLOEXEC) : fd;
    if (own < 0) return true; /* what is not there needs no rule */
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = own};
    bool ok = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    if (path) close(own);
    return ok;
}

static const char *landlock(int input_fd, bool may_exec) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) return "this kernel has no Landlock: reading was confined by seccomp and limits only";
    uint64_t read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
             all = (1ull << 13) - 1; /* the 13 rights of ABI 1 */
    if (abi >= 2) all |= 1ull << 13; /* REFER */
    if (abi >= 3) all |= 1ull << 14; /* TRUNCATE */
    struct landlock_ruleset_attr attr = {.handled_access_fs = all};
    int set = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (set < 0) return "Landlock could not be set up: reading was confined by seccomp and limits only";
    uint64_t run = read | (may_exec ? LANDLOCK_ACCESS_FS_EXECUTE : 0);
    static const char *const system[] = {"/usr",
                                         "/lib",
                                         "/lib64",
                                         "/bin",
                                         "/etc/fonts",
                                         "/etc/ld.so.cache",
                                         "/etc/localtime",
                                         "/etc/alternatives",
                                         "/var/cache/fontconfig",
                                         "/proc/self"};
    bool ok = true;
    for (unsigned i = 0; i < sizeof system / sizeof *system; i++) {
        bool file = i == 5 || i == 6;
        ok = allow_path(set, system[i], -1, file ? LANDLOCK_ACCESS_FS_READ_FILE : run) && ok;
    }
    ok = allow_path(set, "/dev/null", -1, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE) && ok;
    ok = allow_path(set, "/dev/urandom", -1, LANDLOCK_ACCESS_FS_READ_FILE) && ok;
    ok = allow_path(set, NULL, input_fd, LANDLOCK_ACCESS_FS_READ_FILE) && ok;
    if (ok) ok = syscall(SYS_landlock_restrict_self, set, 0) == 0;
    close(set);
    return ok ? "" : "Landlock could not be set up: reading was confined by seccomp and limits only";
}

const char *sandbox_enter(int input_fd, bool may_exec) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return NULL;
    const char *note = landlock(input_fd, may_exec);
    static const int refused[] = {SCMP_SYS(socket),
                                  SCMP_SYS(socketpair),
                                  SCMP_SYS(connect),
                                  SCMP_SYS(bind),
                                  SCMP_SYS(listen),
                                  SCMP_SYS(accept),
                                  SCMP_SYS(accept4),
                                  SCMP_SYS(sendto),
                                  SCMP_SYS(sendmsg),
                                  SCMP_SYS(sendmmsg),
                                  SCMP_SYS(ptrace),
                                  SCMP_SYS(process_vm_readv),
                                  SCMP_SYS(process_vm_writev),
                                  SCMP_SYS(mount),
                                  SCMP_SYS(umount2),
                                  SCMP_SYS(pivot_root),
                                  SCMP_SYS(chroot),
                                  SCMP_SYS(setns),
                                  SCMP_SYS(unshare),
                                  SCMP_SYS(bpf),
                                  SCMP_SYS(keyctl),
                                  SCMP_SYS(add_key),
                                  SCMP_SYS(request_key),
                                  SCMP_SYS(kexec_load),
                                  SCMP_SYS(init_module),
                                  SCMP_SYS(finit_module),
                                  SCMP_SYS(perf_event_open),
                                  SCMP_SYS(unlink),
                                  SCMP_SYS(unlinkat),
                                  SCMP_SYS(rename),
                                  SCMP_SYS(renameat),
                                  SCMP_SYS(renameat2),
                                  SCMP_SYS(mkdir),
                                  SCMP_SYS(mkdirat),
                                  SCMP_SYS(rmdir),
                                  SCMP_SYS(truncate),
                                  SCMP_SYS(ftruncate),
                                  SCMP_SYS(chmod),
                                  SCMP_SYS(fchmod),
                                  SCMP_SYS(fchmodat),
                                  SCMP_SYS(chown),
                                  SCMP_SYS(fchown),
                                  SCMP_SYS(lchown),
                                  SCMP_SYS(fchownat),
                                  SCMP_SYS(link),
                                  SCMP_SYS(linkat),
                                  SCMP_SYS(symlink),
                                  SCMP_SYS(symlinkat),
                                  SCMP_SYS(mknod),
                                  SCMP_SYS(mknodat),
                                  SCMP_SYS(userfaultfd),
                                  SCMP_SYS(io_uring_setup),
                                  SCMP_SYS(open_by_handle_at),
                                  SCMP_SYS(openat2)};
    static const int exec[] = {SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter) return NULL;
    bool ok = true;
    for (unsigned i = 0; i < sizeof refused / sizeof *refused && ok; i++) {
        int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
        ok = rc == 0 || rc == -EDOM || rc == -EFAULT; /* a call that this architecture doesn't have */
    }
    for (unsigned i = 0; i < sizeof exec / sizeof *exec && ok && !may_exec; i++) {
        int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), exec[i], 0);
        ok = rc == 0 || rc == -EDOM || rc == -EFAULT;
    }
    /* files can be opened to read, never to write */
    const struct {
        int call;
        unsigned flags; /* which argument */
    } opens[] = {{SCMP_SYS(open), 1}, {SCMP_SYS(openat), 2}};
    static const struct {
        unsigned mask, value;
    } writing[] = {{O_CREAT, O_CREAT}, {O_ACCMODE, O_WRONLY}, {O_ACCMODE, O_RDWR}};
    for (unsigned i = 0; i < 6 && ok; i++) {
        int rc = seccomp_rule_add(
            filter, SCMP_ACT_ERRNO(EPERM), opens[i / 3].call, 1,
            SCMP_CMP(opens[i / 3].flags, SCMP_CMP_MASKED_EQ, writing[i % 3].mask, writing[i % 3].value));
        ok = rc == 0 || rc == -EDOM;
    }
    if (ok) {
        int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(creat), 0);
        ok = rc == 0 || rc == -EDOM;
    }
    if (ok) ok = seccomp_load(filter) == 0;
    seccomp_release(filter);
    return ok ? note : NULL;
}
