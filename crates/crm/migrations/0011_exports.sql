-- Why: exports read a company's rows in the order of their ids, a batch at a time, each where the last one ended. Users and contacts
-- have such an index by a constraint.
CREATE INDEX deals_by_id ON deals (company_id, id);
