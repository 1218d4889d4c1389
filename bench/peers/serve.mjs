// One cache of the Node world (caches.mjs) behind HTTP, for `bench faults`; docs/faults.md says what is measured.
//
//   node serve.mjs --subject ioredis|ioredis-failfast|bento|bento-l2|bento-strict --redis redis://127.0.0.1:6379/ [--seed-cache FILE]
//
// GET /read/N answers {"version":V} of row N through the cache, with a TTL of 300 s; POST /write/N raises the version in the
// source of truth, awaits the removal of the key and answers {"version":V}; GET /health answers {"loads":L,"says":S}. The
// first line on standard output names the address. It ends with its standard input.
//
// For `freshness`, `--truth URL` names where rows are: a load is GET URL/row/N. GET /row/N answers that row through the cache, and
// DELETE /row/N removes it.
//
// Otherwise the source of truth is a table in this process. A load reads the row at once and takes 2 ms to answer, as a query would.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { open } from './caches.mjs';

const LOAD_MS = 2;
const IDLE_MS = 120_000; // longer than a run: no connection of the driver is closed under its hands

const { values: options } = parseArgs({
  options: {
    subject: { type: 'string' },
    redis: { type: 'string' },
    truth: { type: 'string' },
    'seed-cache': { type: 'string' },
  },
});
const cache = await open(options.subject, options.redis, options['seed-cache']);

const versions = new Map();
let loads = 0;
const load = (row) => async () => {
  loads += 1;
  const version = versions.get(row) ?? 1;
  await sleep(LOAD_MS);
  return { version };
};

async function read(row) {
  const { version } = await cache.read(`row:${row}`, load(row));
  return { version };
}

// A row of the truth, in which numbers are small enough for this language.
async function fetched(row) {
  const answer = await fetch(`${options.truth}/row/${row}`);
  if (!answer.ok) throw new Error(`the truth answered ${answer.status}`);
  return answer.json();
}

async function write(row) {
  const version = (versions.get(row) ?? 1) + 1;
  versions.set(row, version);
  await cache.remove(`row:${row}`);
  return { version };
}

async function answer(request) {
  const [, verb, row] = request.url.split('/');
  if (request.method === 'GET' && verb === 'read') return [200, await read(Number(row))];
  if (request.method === 'POST' && verb === 'write') return [200, await write(Number(row))];
  if (request.method === 'GET' && verb === 'health') return [200, { loads, says: cache.says() }];
  if (options.truth && request.method === 'GET' && verb === 'row') {
    return [200, await cache.read(`row:${row}`, () => fetched(Number(row)))];
  }
  if (options.truth && request.method === 'DELETE' && verb === 'row') {
    await cache.remove(`row:${row}`);
    return [200, {}];
  }
  return [404, { error: `no ${request.method} ${request.url} here` }];
}

const server = createServer(async (request, response) => {
  request.resume();
  const [status, body] = await answer(request).catch((error) => [500, { error: String(error?.message ?? error) }]);
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
});
server.keepAliveTimeout = IDLE_MS;
server.requestTimeout = 0;
server.listen(0, '127.0.0.1', () => console.log(`serves http://127.0.0.1:${server.address().port}`));

process.stdin.resume().on('end', () => process.exit(0));
