// Elementary operations and stampedes of one cache of the Node world, for `bench remote` and `bench stampede`.
//
//   node operations.mjs --subject ioredis|bento --redis redis://127.0.0.1:6379/ [--seed-cache FILE]
//
// Each line on standard input is an order in JSON, answered by a line of JSON:
//
//   {"operation":"read|miss|set|delete","tasks":64,"calls":3200,"prefix":"x"}
//     makes so many calls by so many tasks at once, on names that nobody used: of `read`, what another instance has stored.
//     {"p50":…,"p99":…} in nanoseconds, {"rate":…} a second, {"cpu":…} nanoseconds of this process a call
//   {"operation":"stampede","name":"x","callers":250,"load_ms":50}
//     lets so many ask for one name at once. {"loads":…,"longest_ms":…,"failed":…}
//
// It ends with its standard input.
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { open } from './caches.mjs';

const { values: options } = parseArgs({
  options: { subject: { type: 'string' }, redis: { type: 'string' }, 'seed-cache': { type: 'string' } },
});
const start = () => open(options.subject, options.redis, options['seed-cache']);
const cache = await start();
let other; // what it stores, the first one reads
const VALUE = 'x'.repeat(1024);

async function everywhere(tasks, calls, call) {
  const one = async (task) => {
    for (let at = task; at < calls; at += tasks) await call(at);
  };
  await Promise.all(Array.from({ length: tasks }, (_, task) => one(task)));
}

async function measured({ operation, tasks, calls, prefix }) {
  const name = (at) => `${prefix}:${at}`;
  const found = (value) => {
    if (value !== VALUE) throw new Error(`${operation} did not find what is there`);
  };
  const call = {
    read: async (at) => found(await cache.read(name(at), () => Promise.reject(new Error('it is there')))),
    miss: async (at) => found(await cache.read(name(at), async () => VALUE)),
    set: (at) => cache.set(name(at), VALUE),
    delete: (at) => cache.remove(name(at)),
  }[operation];
  if (operation === 'read') {
    other ??= await start();
    await everywhere(64, calls, (at) => other.set(name(at), VALUE));
  }
  if (operation === 'delete') await everywhere(64, calls, (at) => cache.set(name(at), VALUE));
  await sleep(20); // what was sent in the background arrives
  const took = [];
  const [began, cpu] = [process.hrtime.bigint(), process.cpuUsage()];
  await everywhere(tasks, calls, async (at) => {
    const since = process.hrtime.bigint();
    await call(at);
    took.push(Number(process.hrtime.bigint() - since));
  });
  const { user, system } = process.cpuUsage(cpu);
  const elapsed = Number(process.hrtime.bigint() - began);
  took.sort((a, b) => a - b);
  const rank = (part) => took[Math.floor(took.length * part)];
  return { p50: rank(0.5), p99: rank(0.99), rate: (calls / elapsed) * 1e9, cpu: ((user + system) * 1e3) / calls };
}

async function stampede({ name, callers, load_ms }) {
  let [loads, failed, longest_ms] = [0, 0, 0];
  const load = async () => {
    loads += 1;
    await sleep(load_ms);
    return VALUE;
  };
  const ask = async () => {
    const since = performance.now();
    const value = await cache.read(name, load).catch(() => null);
    if (value !== VALUE) failed += 1;
    longest_ms = Math.max(longest_ms, performance.now() - since);
  };
  await Promise.all(Array.from({ length: callers }, ask));
  return { loads, failed, longest_ms };
}

const lines = createInterface({ input: process.stdin });
process.stdin.on('end', () => process.exit(0));
for await (const line of lines) {
  const order = JSON.parse(line);
  const answer = await (order.operation === 'stampede' ? stampede(order) : measured(order));
  console.log(JSON.stringify(answer));
}
