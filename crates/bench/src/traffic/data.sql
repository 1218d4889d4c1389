-- Why: 200 companies, 2,000 users, 20,000 contacts, 100,000 deals and 200,000 activities, as the reference service has them, in the
-- tables of the CRM. The same seed makes the same rows on the same day; ids and tokens are made of numbers, so that the load knows
-- them too.
SELECT SETSEED(0.42);

CREATE FUNCTION bench_id(kind int, number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT '0190d000-0000-7000-8' || lpad(kind::text, 3, '0') || '-' || lpad(to_hex(number), 12, '0') $$;

CREATE FUNCTION bench_ms(day date) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT (EXTRACT(EPOCH FROM day)::bigint + 43200) * 1000 $$;

INSERT INTO companies (id, name, sector, country, currency, search_text, created_at_ms, updated_at_ms)
SELECT bench_id(1, i), 'Company ' || i, sector, 'DE', 'EUR', 'company ' || i || E'\n' || sector || E'\n', at, at
FROM (SELECT i, (ARRAY['software', 'retail', 'health', 'finance'])[1 + i % 4] AS sector, bench_ms(CURRENT_DATE - 1095) AS at
      FROM generate_series(1, 200) i) s;

-- Ten in each company: an admin, a manager, seven who sell, and one who reads.
INSERT INTO users (id, company_id, email, name, role, search_text, created_at_ms, updated_at_ms)
SELECT bench_id(2, i), bench_id(1, 1 + (i - 1) % 200), email, 'User ' || i,
    CASE (i - 1) / 200 WHEN 0 THEN 'admin' WHEN 1 THEN 'manager' WHEN 9 THEN 'viewer' ELSE 'rep' END,
    'user ' || i || E'\n' || email || E'\n', at, at
FROM (SELECT i, 'u' || i || '@bench.example' AS email, bench_ms(CURRENT_DATE - 1000) AS at FROM generate_series(1, 2000) i) s;

-- A token for each of them. What is kept of it is its digest.
CREATE FUNCTION bench_token(number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT encode(sha256(convert_to('user ' || number, 'UTF8')), 'hex') $$;

INSERT INTO sessions (id, handle, kind, user_id, access_epoch, name, created_at_ms, expires_at_ms)
SELECT encode(sha256(convert_to(bench_token(i), 'UTF8')), 'hex'), bench_id(3, i), 'token', bench_id(2, i), 1, 'bench',
    bench_ms(CURRENT_DATE - 1), bench_ms(CURRENT_DATE + 90)
FROM generate_series(1, 2000) i;

INSERT INTO products (id, name, series, list_price_cents, currency, created_at_ms, updated_at_ms)
SELECT bench_id(4, i), 'Product ' || i, 'S' || i % 4, i * 12500, 'EUR', at, at
FROM (SELECT i, bench_ms(CURRENT_DATE - 1000) AS at FROM generate_series(1, 20) i) s;

INSERT INTO contacts (id, company_id, kind, name, organisation, title, email, phone, country, owner_id, search_text, created_at_ms,
    updated_at_ms)
SELECT bench_id(5, i), bench_id(1, c), 'person', 'Contact ' || i, 'Organisation ' || i % 500, 'Buyer', email, '+4930' || i, 'DE',
    bench_id(2, c + 200 * (1 + i % 8)), 'contact ' || i || E'\norganisation ' || i % 500 || E'\n' || email || E'\n', at, at
FROM (SELECT i, 1 + (i - 1) % 200 AS c, 'c' || i || '@bench.example' AS email,
          bench_ms(CURRENT_DATE - floor(random() * 730)::int) AS at
      FROM generate_series(1, 20000) i) s;

-- The company of a deal follows a power of a uniform number, so that the largest hold thousands of deals.
INSERT INTO deals (id, company_id, title, contact_id, product_id, owner_id, stage, value_cents, engaged_on, closed_on, cycle_days,
    search_text, created_at_ms, updated_at_ms)
SELECT bench_id(6, i), bench_id(1, c), title, bench_id(5, 1 + contact * 200 + c - 1), bench_id(4, 1 + i % 20),
    bench_id(2, c + 200 * (1 + owner)), stage, CASE stage WHEN 'lost' THEN 0 ELSE value_cents END,
    CASE stage WHEN 'prospecting' THEN NULL ELSE engaged::text END, closed::text, closed - engaged, lower(title) || E'\n',
    bench_ms(engaged - 3), bench_ms(COALESCE(closed, engaged))
FROM (SELECT d.*, 'Deal ' || i || ' with contact ' || 1 + contact * 200 + c - 1 AS title,
          CASE WHEN stage IN ('won', 'lost') THEN LEAST(engaged + cycle, CURRENT_DATE) END AS closed
      FROM (SELECT i, 1 + floor(power(random(), 2) * 200)::int AS c,
                (ARRAY['prospecting', 'prospecting', 'engaging', 'engaging', 'won', 'lost'])[1 + floor(random() * 6)::int] AS stage,
                floor(random() * 100)::int AS contact, floor(random() * 8)::int AS owner,
                floor(random() * 9000000)::bigint + 50000 AS value_cents,
                CURRENT_DATE - floor(random() * 730)::int AS engaged, floor(random() * 90)::int AS cycle
            FROM generate_series(1, 100000) i) d) s;

INSERT INTO activities (id, company_id, deal_id, kind, text, author_id, author_name, created_at_ms, updated_at_ms)
SELECT bench_id(7, i), d.company_id, d.id, (ARRAY['call', 'email', 'meeting'])[1 + i % 3], repeat('text ', 30), d.owner_id, u.name, at, at
FROM (SELECT i, 1 + floor(random() * 100000)::int AS deal, bench_ms(CURRENT_DATE - floor(random() * 365)::int) AS at
      FROM generate_series(1, 200000) i) s
JOIN deals d ON d.id = bench_id(6, deal)
JOIN users u ON u.id = d.owner_id;
