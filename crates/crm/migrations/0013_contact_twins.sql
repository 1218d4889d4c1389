-- Why: an import asks for each row whether the contact is there already, by its address of e-mail, or, without one, by its name, for
-- which there is an index.
CREATE INDEX contacts_by_email ON contacts (company_id, email);
