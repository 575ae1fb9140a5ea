-- schema.sql: version 3 of antinomy.db. Embedded into the program; migrate.c runs it on an empty file and raises user_version.
--
-- A document's bytes are a `contents` row (by SHA-256); a name in a set that points to them is an `entries` row. Everything that comes
-- of the bytes hangs on contents and goes with it. Times are unix seconds. Sums and states are spelt out in store.h.

CREATE TABLE sets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- never used again after a delete
    name TEXT NOT NULL UNIQUE,                -- as people type it, case kept
    created_at INTEGER NOT NULL               -- when the set was made
) STRICT;

CREATE TABLE contents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- store_document.content
    sha256 BLOB NOT NULL UNIQUE,              -- of the original bytes; originals/<hex> is the file
    n_bytes INTEGER NOT NULL,                 -- size of the original
    state INTEGER NOT NULL,                   -- enum store_document_state: 0 queued, 1 ready, 2 failed
    title TEXT,                               -- from metadata or first heading; NULL = the entry's name
    mime TEXT NOT NULL DEFAULT '',            -- known once read
    n_pages INTEGER NOT NULL DEFAULT 0,       -- of the ingested document
    n_statements INTEGER NOT NULL DEFAULT 0,  -- rows in statements
    n_tokens INTEGER NOT NULL DEFAULT 0,      -- of its text, for the model that was loaded at ingest
    n_pages_without_text INTEGER NOT NULL DEFAULT 0, -- scans: not read
    n_words INTEGER NOT NULL DEFAULT 0,       -- words of all statements: BM25's average length
    n_section_words INTEGER NOT NULL DEFAULT 0, -- words of all sections rows
    error_code TEXT NOT NULL DEFAULT '',      -- error_name() of why ingest failed
    error_message TEXT NOT NULL DEFAULT '',   -- the sentence for people
    error_where TEXT NOT NULL DEFAULT '',     -- file, page, byte
    added_at INTEGER NOT NULL,                -- first upload of these bytes
    warnings BLOB NOT NULL DEFAULT x'00'      -- struct ingest_warning [] by body.c; here, not in bodies, because every list shows them
) STRICT;

CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- store_document.id
    set_id INTEGER NOT NULL REFERENCES sets(id), -- the set it stands in
    content INTEGER NOT NULL REFERENCES contents(id), -- its bytes
    name TEXT NOT NULL,                       -- file name or URL in this set
    replaced_by INTEGER NOT NULL DEFAULT 0,   -- entry that took the name; 0 = current. No reference: stays when that entry is deleted
    added_at INTEGER NOT NULL                 -- when it came into the set
) STRICT;
CREATE UNIQUE INDEX entries_current ON entries(set_id, name) WHERE replaced_by = 0;
CREATE INDEX entries_content ON entries(content);
CREATE INDEX entries_set ON entries(set_id, content);

-- The ingested document: one BLOB an array, laid out by body.c.
CREATE TABLE bodies (
    content INTEGER PRIMARY KEY REFERENCES contents(id) ON DELETE CASCADE, -- whose
    version INTEGER NOT NULL,                 -- layout of the BLOBs (BODY_VERSION)
    ingest_version INTEGER NOT NULL,          -- INGEST_VERSION that made them
    format INTEGER NOT NULL,                  -- enum ingest_format
    text BLOB NOT NULL,                       -- the document's text, the one truth all ranges point into
    pages BLOB NOT NULL,                      -- struct ingest_page []
    words BLOB NOT NULL,                      -- struct ingest_word []
    sections BLOB NOT NULL,                   -- struct ingest_section []
    statements BLOB NOT NULL,                 -- struct ingest_statement []
    facts BLOB NOT NULL                       -- struct ingest_fact []
) STRICT;

CREATE TABLE statements (
    id INTEGER PRIMARY KEY,                   -- row of statements_fts
    content INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE, -- whose
    n INTEGER NOT NULL,                       -- index in the document, from 0 without gaps
    section INTEGER NOT NULL,                 -- index of its section
    kind INTEGER NOT NULL,                    -- enum ingest_statement_kind
    text TEXT NOT NULL                        -- lead-in and span, joined by a space
) STRICT;
CREATE UNIQUE INDEX statements_content ON statements(content, n, section, kind);

CREATE TABLE sections (
    id INTEGER PRIMARY KEY,                   -- row of sections_fts
    content INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE, -- whose
    n INTEGER NOT NULL,                       -- index in the document, from 0 without gaps
    number TEXT NOT NULL,                     -- as printed: "4.2", "(a)"
    path TEXT NOT NULL,                       -- full reference: "4.2(a)"
    text TEXT NOT NULL                        -- path, headings from the top down, own statements
) STRICT;
CREATE UNIQUE INDEX sections_content ON sections(content, n);

-- Words. The text stands in the tables above (external content); rows are taken out with the 'delete' command and the very text put in.
-- SQLite 3.40 keeps the words of deleted rows until 'optimize': delete.c.
CREATE VIRTUAL TABLE statements_fts USING fts5(
    text,                                     -- statements.text
    content = 'statements', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE sections_fts USING fts5(
    text,                                     -- sections.text
    content = 'sections', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);

CREATE TABLE models (
    id INTEGER PRIMARY KEY,                   -- short number for embeddings
    model_id BLOB NOT NULL UNIQUE,            -- 32 bytes: the engine's identity of the weights
    dim INTEGER NOT NULL                      -- length of its vectors
) STRICT;

CREATE TABLE embeddings (
    statement INTEGER NOT NULL REFERENCES statements(id) ON DELETE CASCADE, -- whose
    model INTEGER NOT NULL REFERENCES models(id), -- made by
    scale REAL NOT NULL,                      -- value = scale * component
    vector BLOB NOT NULL,                     -- dim signed bytes
    PRIMARY KEY (statement, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- store_job.id
    kind INTEGER NOT NULL,                    -- enum store_job_kind: 0 ingest, 1 read, 2 report
    set_id INTEGER NOT NULL REFERENCES sets(id) ON DELETE CASCADE, -- for which set
    document INTEGER REFERENCES entries(id) ON DELETE CASCADE, -- ingest: the entry it was queued for
    content INTEGER REFERENCES contents(id) ON DELETE CASCADE, -- ingest: the bytes
    state INTEGER NOT NULL,                   -- enum store_job_state: 0 queued, 1 running, 2 done, 3 failed, 4 cancelled
    stage TEXT NOT NULL DEFAULT '',           -- what it is at: "extract", "index"
    done INTEGER NOT NULL DEFAULT 0,          -- steps of the stage done
    total INTEGER NOT NULL DEFAULT 0,         -- of so many
    attempts INTEGER NOT NULL DEFAULT 0,      -- how often it was taken
    lease_until REAL NOT NULL DEFAULT 0,      -- running: taken again after this time
    cancel INTEGER NOT NULL DEFAULT 0,        -- 1 = asked to stop
    error_code TEXT NOT NULL DEFAULT '',      -- failed: error_name()
    error_message TEXT NOT NULL DEFAULT '',   -- failed: the sentence for people
    error_where TEXT NOT NULL DEFAULT '',     -- failed: file, page, byte
    created_at INTEGER NOT NULL,              -- queued
    started_at INTEGER NOT NULL DEFAULT 0,    -- taken, last time
    finished_at INTEGER NOT NULL DEFAULT 0    -- done, failed or cancelled
) STRICT;
CREATE INDEX jobs_state ON jobs(state, kind, id);
CREATE INDEX jobs_content ON jobs(content);
CREATE INDEX jobs_document ON jobs(document);
CREATE INDEX jobs_set ON jobs(set_id);

CREATE TABLE readings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- store_reading.id
    set_id INTEGER NOT NULL REFERENCES sets(id), -- for which set
    model_id BLOB NOT NULL,                   -- 32 bytes
    prefix_hash BLOB NOT NULL,                -- 32 bytes: of the exact tokens read
    n_tokens INTEGER NOT NULL,                -- how many
    bytes INTEGER NOT NULL,                   -- size of the file
    file TEXT NOT NULL UNIQUE,                -- readings/<file>
    created_at INTEGER NOT NULL,              -- when saved
    used_at INTEGER NOT NULL,                 -- a counter, not a time: greater = used later
    UNIQUE (set_id, model_id, prefix_hash)
) STRICT;
CREATE TABLE reading_contents (
    reading INTEGER NOT NULL REFERENCES readings(id) ON DELETE CASCADE, -- which
    n INTEGER NOT NULL,                       -- place in the reading, from 0
    content INTEGER NOT NULL REFERENCES contents(id), -- what stands there
    PRIMARY KEY (reading, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX reading_contents_content ON reading_contents(content);

-- Answers and reports, as shown. They quote documents, so they go with any of them.
CREATE TABLE results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- the id given out
    kind INTEGER NOT NULL,                    -- 0 answer, 1 report
    set_id INTEGER NOT NULL REFERENCES sets(id), -- asked of which set
    question TEXT NOT NULL,                   -- an answer's question; empty for a report
    json TEXT NOT NULL,                       -- the result
    created_at INTEGER NOT NULL               -- when
) STRICT;
CREATE INDEX results_set ON results(set_id, kind, id);
CREATE TABLE result_contents (
    result INTEGER NOT NULL REFERENCES results(id) ON DELETE CASCADE, -- which
    content INTEGER NOT NULL REFERENCES contents(id), -- quoted or read for it
    PRIMARY KEY (result, content)
) STRICT, WITHOUT ROWID;
CREATE INDEX result_contents_content ON result_contents(content);

-- What people decided about findings. A finding goes with the last bytes of one of its sides.
CREATE TABLE findings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- the id given out
    set_id INTEGER NOT NULL REFERENCES sets(id), -- found in which set
    anchor BLOB NOT NULL,                     -- 32 bytes: hash of both quotes and their places
    made_at INTEGER NOT NULL,                 -- first shown
    UNIQUE (set_id, anchor)
) STRICT;
CREATE TABLE finding_contents (
    finding INTEGER NOT NULL REFERENCES findings(id) ON DELETE CASCADE, -- which
    side INTEGER NOT NULL,                    -- 0 and 1: its statements, 2: the clause that settles it
    content INTEGER NOT NULL REFERENCES contents(id), -- bytes that hold it; several versions of a document may
    PRIMARY KEY (finding, side, content)
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_contents_content ON finding_contents(content);
CREATE TABLE reviews (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- in order of time; the last one holds
    finding INTEGER NOT NULL REFERENCES findings(id) ON DELETE CASCADE, -- of which
    state INTEGER NOT NULL,                   -- enum store_review_state
    reason TEXT NOT NULL,                     -- why it was dismissed
    note TEXT NOT NULL,                       -- a person's words
    at INTEGER NOT NULL                       -- when
) STRICT;
CREATE INDEX reviews_finding ON reviews(finding, id);

-- Deletes begun (finished_at 0: files and free pages still to be wiped, store_open goes on) and done. Holds no word of any document.
CREATE TABLE tombstones (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- order of the deletes
    sha256 BLOB,                              -- of the bytes that went; NULL = only an entry went, its bytes stay for another
    n_statements INTEGER NOT NULL,            -- rows removed with it
    n_results INTEGER NOT NULL,               -- answers and reports
    n_readings INTEGER NOT NULL,              -- snapshots
    deleted_at INTEGER NOT NULL,              -- rows gone
    finished_at INTEGER NOT NULL DEFAULT 0    -- nothing of it left in the directory
) STRICT;
