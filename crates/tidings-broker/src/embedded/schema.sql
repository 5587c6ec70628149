-- The embedded broker's tables. Times are milliseconds since 1970, leases milliseconds that the host is up.

-- Those that share the file: a prefix each.
CREATE TABLE fleets (
    fleet          INTEGER PRIMARY KEY,
    prefix         TEXT NOT NULL UNIQUE,
    ledger_max_age INTEGER,
    dead_max_age   INTEGER
) STRICT;

CREATE TABLE lanes (
    lane        INTEGER PRIMARY KEY,
    fleet       INTEGER NOT NULL,
    name        TEXT    NOT NULL,           -- an account, or 'unroutable'
    declared    INTEGER NOT NULL,           -- 0: only delayed messages know it so far
    tenure      INTEGER NOT NULL DEFAULT 0, -- counts up with every change of owner: the fencing token
    owner       TEXT,                       -- the name of the lock that its process holds
    lease_until INTEGER NOT NULL DEFAULT 0,
    handed      INTEGER NOT NULL DEFAULT 0, -- the last tenure was handed every message up to here
    UNIQUE (fleet, name)
) STRICT;

-- Bodies stand apart, so that a retry, a delay or a return writes only what changed.
CREATE TABLE bodies (
    body  INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;

-- What may be handed out, in this order. Numbers are never used twice: `handed` counts on it.
CREATE TABLE messages (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    lane    INTEGER NOT NULL,
    body    INTEGER NOT NULL,
    returns INTEGER NOT NULL DEFAULT 0,     -- how many tenures were handed it and did not settle it
    headers TEXT    NOT NULL
) STRICT;
CREATE INDEX messages_of_lane ON messages (lane);

-- What falls due later, and then goes to the end of its lane.
CREATE TABLE delayed (
    body    INTEGER PRIMARY KEY,
    lane    INTEGER NOT NULL,
    due     INTEGER NOT NULL,
    headers TEXT    NOT NULL
) STRICT;
CREATE INDEX delayed_by_due ON delayed (lane, due);

CREATE TABLE ledger (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    fleet    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    writer   TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    lines    BLOB    NOT NULL
) STRICT;
CREATE INDEX ledger_by_time ON ledger (fleet, at);

CREATE TABLE dead (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    fleet    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    head     TEXT    NOT NULL,
    body     BLOB    NOT NULL
) STRICT;
CREATE INDEX dead_by_time ON dead (fleet, at);

CREATE TABLE announcements (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    fleet    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    json     TEXT    NOT NULL
) STRICT;
CREATE INDEX announcements_by_time ON announcements (fleet, at);
