-- Why: a rep writes its own contacts, so that contacts have owners as deals do. Those that were there before have none, and
-- a manager gives them one. That the owner is of the contact's company is checked by who writes it.
ALTER TABLE contacts ADD COLUMN owner_id TEXT REFERENCES users (id);

CREATE INDEX contacts_by_owner ON contacts (owner_id, name, id);
