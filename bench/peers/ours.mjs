// A resolve hook: whoever asks for ioredis gets the one that package-lock.json pins here, wherever its own file lies.
export async function resolve(specifier, context, next) {
  return next(specifier, specifier === 'ioredis' ? { ...context, parentURL: import.meta.url } : context);
}
