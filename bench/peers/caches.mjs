// The caches of the Node world that larder is measured beside, each with the same few words.
import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const TTL_S = 300;

// Beside the repository, as the other data that is shared and not part of it.
const SEED_CACHE = fileURLToPath(new URL('../../../shared/peers/seedcache.mjs', import.meta.url));

export function giveUp(message) {
  console.error(`bench/peers: ${message}`);
  process.exit(2);
}

// The specified service, as its own file has it, on ioredis.
async function specified(connection, more, seedCache, isLocked = false) {
  const file = resolve(seedCache ?? process.env.SEED_CACHE ?? SEED_CACHE);
  if (!existsSync(file)) {
    giveUp(`the specified service is not there: no file ${file}; name its seedcache.mjs with --seed-cache or SEED_CACHE`);
  }
  register(new URL('./ours.mjs', import.meta.url));
  const { CacheService } = await import(pathToFileURL(file).href);
  const cache = new CacheService({ ...connection, ...more });
  return {
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value, { ttl: TTL_S }),
    read: (key, load) => (isLocked ? cache.getWithLock(key, load, TTL_S) : cache.getOrSet(key, load, { ttl: TTL_S })),
    remove: (key) => cache.delete(key),
    says: () => cache.redis.status, // that of the ioredis client
  };
}

// BentoCache with what its documentation sets up, and its defaults.
async function bento(connection, layers) {
  const { BentoCache, bentostore } = await import('bentocache');
  const { memoryDriver } = await import('bentocache/drivers/memory');
  const { redisDriver, redisBusDriver } = await import('bentocache/drivers/redis');
  const strict = layers === 'strict' ? { suppressL2Errors: false, grace: false } : {};
  let store = bentostore();
  if (layers === 'both') store = store.useL1Layer(memoryDriver({ maxSize: '64mb' }));
  store = store.useL2Layer(redisDriver({ connection }));
  if (layers === 'both') store = store.useBus(redisBusDriver({ connection }));
  const cache = new BentoCache({ default: 'rows', stores: { rows: store }, ...strict });
  const ttl = TTL_S * 1000;
  return {
    get: (key) => cache.get({ key }),
    set: (key, value) => cache.set({ key, value, ttl }),
    read: (key, factory) => cache.getOrSet({ key, factory, ttl }),
    remove: (key) => cache.delete({ key }),
    says: () => null, // it has no word for it
  };
}

// The cache of that name, over the Redis at that URL.
export function open(subject, redis, seedCache) {
  if (!redis) giveUp('--redis is missing: name the server, as redis://127.0.0.1:6379/');
  const { hostname: host, port } = new URL(redis);
  const connection = { host, port: Number(port || 6379) };
  switch (subject) {
    case 'ioredis':
      return specified(connection, {}, seedCache);
    case 'ioredis-lock':
      return specified(connection, {}, seedCache, true);
    case 'ioredis-failfast': {
      const failFast = { maxRetriesPerRequest: 1, enableOfflineQueue: false, commandTimeout: 500 };
      return specified(connection, failFast, seedCache);
    }
    case 'bento':
      return bento(connection, 'both');
    case 'bento-l2':
      return bento(connection, 'l2');
    case 'bento-strict':
      return bento(connection, 'strict');
    default:
      return giveUp(`--subject ${subject} is none of ioredis, ioredis-lock, ioredis-failfast, bento, bento-l2, bento-strict`);
  }
}
