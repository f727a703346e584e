// The session file as a broker before MQTT 5 made it: version 1, empty but for its name.

export const SESSIONS_VERSION_1 = `
CREATE TABLE broker (id TEXT NOT NULL) STRICT;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, device TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE subscriptions (session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE, filter TEXT NOT NULL, qos INTEGER NOT NULL,
  PRIMARY KEY (session, filter)) STRICT, WITHOUT ROWID;
CREATE TABLE queued (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, message_id INTEGER, counter INTEGER NOT NULL, bytes INTEGER NOT NULL,
  broker TEXT, at INTEGER NOT NULL, released INTEGER NOT NULL DEFAULT 0, topic TEXT NOT NULL, payload ANY NOT NULL, qos INTEGER NOT NULL,
  retain INTEGER NOT NULL) STRICT;
CREATE INDEX queued_by_session ON queued (session, message_id, counter, bytes);
CREATE TABLE unfinished (device TEXT NOT NULL, message_id INTEGER NOT NULL, PRIMARY KEY (device, message_id)) STRICT, WITHOUT ROWID;
CREATE TABLE retained (topic TEXT PRIMARY KEY, payload ANY NOT NULL, qos INTEGER NOT NULL, device TEXT) STRICT;
CREATE TABLE wills (device TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, issuer TEXT, serial TEXT NOT NULL, topic TEXT NOT NULL,
  payload ANY NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL) STRICT;
CREATE TABLE holders (device TEXT PRIMARY KEY, issuer TEXT, serial TEXT NOT NULL, keeps_session INTEGER NOT NULL) STRICT;
INSERT INTO broker VALUES ('b');
PRAGMA user_version = 1;
`
