/* test_ingest_mail.c: e-mail messages become their headers, their text and their attachments; what is not read is told.
 */
#include "tests/unit/ingest_fixture.h"

#define MAIL(text, expected) check_document("a.eml", text, sizeof(text) - 1, expected)
#define HEAD "From: a@example.org\nMIME-Version: 1.0\n"

static void test_headers_are_read_as_people_see_them(void **state) {
    (void)state;
    MAIL("Received: from x\r\nSubject: =?utf-8?Q?Caf=C3?= =?utf-8?Q?=A9_costs?=\r\n =?iso-8859-2?B?srE=?= plain =? "
         "text\r\nTO: b@example.org\r\nfrom: \"Ann\" <a@example.org>\r\nX-Other: no\r\n\r\nHello.\r\n",
         "P From: \"Ann\" <a@example.org>\nP To: b@example.org\nP Subject: Caf\xc3\xa9 costs\xcb\x9b\xc4\x85 plain =? "
         "text\nP Hello.\n");
    struct ingest_document *d = NULL;
    struct error e;
    static const char text[] =
        HEAD "Subject: Notice of\n termination\nContent-Type: text/html\n\n<title>x</title><p>We "
             "give notice.";
    assert_int_equal(load_bytes(&d, "a", text, sizeof text - 1, NULL, &e), 0);
    assert_int_equal(d->format, INGEST_EML);
    assert_string_equal(d->title.data, "Notice of termination");
    ingest_document_free(d);
}

static void test_text_is_decoded_and_quoting_is_marked(void **state) {
    (void)state;
    MAIL(
        HEAD "Content-Type: text/plain; charset=\"windows-1252\"\nContent-Transfer-Encoding: Quoted-Printable\n\n"
             "The fee is =80 50 and the Supplier shall =\nnot raise it.=20\n\n> We propose thirty days.\n>> No, ten.\n"
             ">From 1 May on.\n",
        "P From: a@example.org\nP The fee is \xe2\x82\xac 50 and the Supplier shall not raise it.\nQ We propose thirty "
        "days.\nQ No, ten.\nP From 1 May on.\n");
    MAIL(HEAD "\n\f\fOne.\n\fTwo.\n", "P From: a@example.org\nP One.\nP Two.\n");
    MAIL(HEAD "Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B7@Ls\x1b(B\n",
         "P From: a@example.org\nP \xe5\xa5\x91\xe7\xb4\x84\n");
    MAIL(
        HEAD "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n",
        "P From: a@example.org\n! a part of the text was not read: it is sent as \"x-uuencode\", which is not known\n");
}

static void test_of_two_forms_the_plain_one_is_read(void **state) {
    (void)state;
    MAIL(HEAD "Content-Type: multipart/alternative; boundary=b\n\npreamble\n--b\n\nPlain words.\n--b\nContent-Type: "
              "text/html\n\n<p>HTML words.\n--b--\nepilogue\n",
         "P From: a@example.org\nP Plain words.\n");
    /* an empty plain form says nothing; the file beside the form that is not read is not lost */
    MAIL(HEAD "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n \n--b\nContent-Type: text/html\n\n<p>HTML "
              "words.\n--b--\n",
         "P From: a@example.org\nP HTML words.\n");
    MAIL(HEAD
         "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nPlain words.\n--b\nContent-Type: "
         "multipart/mixed; boundary=\"b c\"\n\n--b c\nContent-Type: text/html\n\n<p>HTML words.\n--b c\nContent-Type: "
         "text/plain; name=terms.txt\n\nThe terms.\n--b c--\n--b--\n",
         "@ the message\nP From: a@example.org\nP Attachments: terms.txt\nP Plain words.\n@ attached terms.txt\nH1 "
         "Attachment: terms.txt\nP The terms.\n");
}

static void test_attachments_are_pages_or_warnings(void **state) {
    (void)state;
    MAIL(
        HEAD
        "Content-Type: multipart/mixed; boundary=\"=_b\"\n\n--=_b\nContent-Type: multipart/related; boundary=r\n\n--r\n"
        "Content-Type: text/html\n\n<p>See the list.<img src=cid:1>\n--r\nContent-Type: image/png\nContent-ID: "
        "<1>\n\n\x89PNG\r\n\x1a\n\n--r--\n"
        "--=_b\nContent-Type: text/html; charset=iso-8859-1\nContent-Disposition: attachment;\n "
        "filename*0*=utf-8''Pr%C3;\n "
        "filename*1*=%A4mie;\n filename*2=.html\nContent-Transfer-Encoding: base64\n\n"
        "PGgxPlByZW1pdW08L2gxPjx0YWJsZT48dHI+PHRoPkl0ZW08dGg+UHJpY2U8dHI+PHRkPlB1bXA8dGQ+pSA1PC90YWJsZT4=\n"
        "--=_b\nContent-Type: image/png; name=\"C:\\\\dir\\\\scan.png\"\nContent-Transfer-Encoding: "
        "base64\n\niVBORw0KGgo=\n"
        "--=_b\nContent-Type: text/calendar; name=invite.ics\n\nBEGIN:VCALENDAR\n"
        "--=_b\nContent-Type: message/rfc822\n\nFrom: c@example.org\nSubject: Inner\nContent-Type: multipart/mixed; "
        "boundary=i\n\n--i\n\nInner words.\n--i\nContent-Disposition: attachment; filename=x.txt\n\nDeep "
        "words.\n--i--\n"
        "--=_b\nContent-Type: application/pgp-signature\n\nxyz\n--=_b--\n",
        "@ the message\nP From: a@example.org\nP Attachments: Pr\xc3\xa4mie.html, scan.png, invite.ics, message 4.eml\n"
        "P See the list.\n@ attached Pr\xc3\xa4mie.html\nH1 Attachment: Pr\xc3\xa4mie.html\nH1 Premium\nC0.0.0* Item\n"
        "C0.0.1* Price\nC0.1.0 Pump\nC0.1.1 \xc2\xa5 5\n@ attached message 4.eml, the message\nH1 Attachment: message "
        "4.eml\nP From: c@example.org\nP Subject: Inner\nP Attachments: x.txt\nP Inner words.\n@ attached x.txt\nH1 "
        "Attachment: x.txt\nP Deep words.\n! pictures in the text were not read (1)\n"
        "! the attachment \"scan.png\" was not read: this is a PNG image, which is not read\n"
        "! the attachment \"invite.ics\" was not read: this is a calendar entry\n");
}

/* A PDF goes through poppler in the confined child, a DOCX through libzip: both from memory. */
static void check_attached_files(const char *head) {
    static const char *const files[] = {"tests/data/samples/price-schedule.pdf", "tests/data/ingest/docx_lists.docx"};
    struct ingest_document *d = NULL, *alone = NULL;
    struct error e = {0};
    struct buf mail = {0}, file = {0};
    bool pdf = access("/usr/bin/pdftotext", X_OK) == 0;
    buf_printf(&mail, "%sContent-Type: multipart/mixed; boundary=b\n\n--b\n\nSee attached.\n", head);
    for (size_t i = 0; i < 2; i++) {
        file.len = 0;
        assert_int_equal(file_read(files[i], 1 << 20, &file, &e), 0);
        buf_printf(&mail, "--b\nContent-Type: application/octet-stream; name=%s\nContent-Transfer-Encoding: binary\n\n",
                   strrchr(files[i], '/') + 1);
        buf_append(&mail, file.data, file.len);
        buf_puts(&mail, "\n");
    }
    buf_puts(&mail, "--b--\n");
    assert_int_equal(load_bytes(&d, "a.eml", mail.data, mail.len, NULL, &e), 0);
    assert_int_equal(d->n_warnings, pdf ? 0 : 1);
    for (size_t i = pdf ? 0 : 1, page = 1; i < 2; i++) {
        assert_int_equal(ingest_document_load(&alone, files[i], NULL, &e), 0);
        assert_non_null(strstr(d->text.data, alone->text.data)); /* the same text, page for page */
        for (size_t k = 0; k < alone->n_pages; k++, page++) {
            char label[100];
            snprintf(label, sizeof label, "attached %s", strrchr(files[i], '/') + 1);
            if (i == 0) snprintf(label + strlen(label), 40, ", page %zu", k + 1);
            assert_string_equal(d->pages[page].label.data, label);
            struct slice have = ingest_text(d, d->pages[page].span), want = ingest_text(alone, alone->pages[k].span);
            want = slice_trim(want), have = slice_trim(have);
            assert_true(have.len >= want.len);
            assert_memory_equal(have.data + have.len - want.len, want.data, want.len);
        }
        ingest_document_free(alone);
    }
    assert_int_equal(d->n_words, 0); /* their boxes lie on pages of another file */
    ingest_document_free(d);
    buf_free(&mail);
    buf_free(&file);
}

static void test_files_of_other_formats_are_read_out_of_a_message(void **state) {
    (void)state;
    check_attached_files(HEAD);
    /* a program that forgets MIME-Version; the PDF stands behind where a file of its own would begin */
    char head[1400];
    snprintf(head, sizeof head, "Received: from x\nX-Filler: %01200d\nFrom: a@example.org\n", 0);
    check_attached_files(head);
}

static void test_damaged_hostile_and_encrypted_messages(void **state) {
    (void)state;
    MAIL(HEAD "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nFirst.\n--b\n\nSecond, cut",
         "P From: a@example.org\nP First.\nP Second, cut\n! the message breaks off before its end or does not say how "
         "it is parted\n");
    MAIL(HEAD "Content-Type: multipart/mixed; boundary=b\n\nNo parts.\n",
         "P From: a@example.org\nP No parts.\n! the message breaks off before its end or does not say how it is "
         "parted\n");
    MAIL(HEAD "Content-Type: multipart/mixed\n\nWords.\n",
         "P From: a@example.org\nP Words.\n! the message breaks off before its end or does not say how it is parted\n");
    MAIL(HEAD "Content-Type: text/html\n\n\n", "P From: a@example.org\n");
    MAIL(HEAD "Content-Type: te\x93t/\x8bmix\n\nWords.\n",
         "@ the message\nP From: a@example.org\nP Attachments: part 1 (te?t/?mix)\n@ attached part 1 (te?t/?mix)\nH1 "
         "Attachment: part 1 (te?t/?mix)\nP Words.\n");
    MAIL(HEAD "Content-Transfer-Encoding: \xff\n\nWords.\n",
         "P From: a@example.org\n! a part of the text was not read: it is sent as \"?\", which is not known\n");
    static const char sealed[] = HEAD "Content-Type: multipart/encrypted; boundary=b\n\n--b\n\nVersion: 1\n--b--\n",
                      smime[] = HEAD "Content-Type: application/pkcs7-mime; name=smime.p7m\n\nMIAGCSq\n";
    refuse("a.eml", sealed, sizeof sealed - 1, ERR_ENCRYPTED, "encrypted");
    refuse("a.eml", smime, sizeof smime - 1, ERR_ENCRYPTED, "encrypted");
    struct buf b = {0};
    buf_puts(&b, HEAD "Content-Type: multipart/mixed; boundary=b0\n\n");
    for (int i = 0; i < 40; i++) buf_printf(&b, "--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n", i, i + 1);
    refuse("deep.eml", b.data, b.len, ERR_LIMIT, "too deep");
    b.len = 0;
    buf_puts(&b, HEAD "Content-Type: multipart/mixed; boundary=b\n\n");
    for (int i = 0; i < 2000; i++) buf_puts(&b, "--b\n\nx\n");
    refuse("many.eml", b.data, b.len, ERR_LIMIT, "more than 1000 parts");
    b.len = 0;
    for (int i = 0; i < 9; i++) buf_puts(&b, HEAD "Content-Type: message/rfc822\n\n");
    buf_puts(&b, HEAD "\nThe core.\n");
    struct ingest_document *d = NULL;
    struct error e;
    assert_int_equal(load_bytes(&d, "nested.eml", b.data, b.len, NULL, &e), 0);
    assert_int_equal(d->n_warnings, 1);
    assert_non_null(strstr(d->warnings[0].message.data, "messages lie more than 4 deep in each other"));
    ingest_document_free(d);
    buf_free(&b);
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], INGEST_CHILD_ARGUMENT)) return ingest_child_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_are_read_as_people_see_them),
        cmocka_unit_test(test_text_is_decoded_and_quoting_is_marked),
        cmocka_unit_test(test_of_two_forms_the_plain_one_is_read),
        cmocka_unit_test(test_attachments_are_pages_or_warnings),
        cmocka_unit_test(test_files_of_other_formats_are_read_out_of_a_message),
        cmocka_unit_test(test_damaged_hostile_and_encrypted_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
