-- Why: users sign in, programs act for them, and all of it can be ended everywhere at once.
--
-- `access_epoch` is raised by whatever ends all sessions of a user: another role, another password, being made inactive. A
-- session holds while its user is active and has the epoch that it began in, so that ending them is part of the very
-- statement that changes the user.
ALTER TABLE users ADD COLUMN access_epoch BIGINT NOT NULL DEFAULT 1;

-- `hash` is an Argon2id hash as a PHC string. A `temporary` one was made by an admin and has to be changed at the next
-- sign-in; a `demo` one stands in the manual.
CREATE TABLE passwords (
    user_id       TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hash          TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('own', 'temporary', 'demo')),
    changed_at_ms BIGINT NOT NULL
);

-- `id` is the SHA-256 of the token, which is kept nowhere; `handle` names the row to its user. A `browser` session slides;
-- a `token` is for a program and lasts as long as it was made for; an `operator` belongs to no user. A `device` lets nobody
-- in: it says of a browser that this user has signed in there before.
CREATE TABLE sessions (
    id            TEXT PRIMARY KEY,
    handle        TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL CHECK (kind IN ('browser', 'token', 'device', 'operator')),
    user_id       TEXT REFERENCES users (id) ON DELETE CASCADE,
    access_epoch  BIGINT NOT NULL,
    name          TEXT,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    CHECK ((kind = 'operator') = (user_id IS NULL))
);

CREATE INDEX sessions_by_user ON sessions (user_id, created_at_ms);
CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);
