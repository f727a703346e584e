// What live sessions are subscribed to, as brokers noted it: asked before a policy changes, decided upon never.
// A broker forgets its rows when it starts and when it stops; a filter of '' says that a session holds more than is noted.

export const name = 'session-subscriptions'

export const sql = `
CREATE TABLE session_subscriptions (
  node_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  filter TEXT NOT NULL,
  PRIMARY KEY (node_id, device_id, filter)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_subscriptions_by_device ON session_subscriptions (device_id, filter);
CREATE INDEX policy_attachments_by_policy ON policy_attachments (policy_name, kind, target);
`
