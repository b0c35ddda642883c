// Adds one to a counter that others add to as well: read, change, write under the ETag, and all of
// that again where somebody else was faster (412). Node 20 or newer, no dependencies.
//
//   STOWAGE_URL=http://127.0.0.1:8080 STOWAGE_TOKEN=... node counter.js kv|run-store NAME TIMES

const url = (process.env.STOWAGE_URL ?? '').replace(/\/$/, '');
const token = process.env.STOWAGE_TOKEN ?? '';
const TRIES = 30;

type Json = null | boolean | number | string | Json[] | { [member: string]: Json };
type Members = { [member: string]: Json };
type Operation =
  | { op: 'set'; key: string; value: Json }
  | { op: 'del'; key: string }
  | { op: 'clear' };

/** Nothing was written; `after` is how many milliseconds to wait at least. */
class Conflict extends Error {
  readonly after: number;

  constructor(after: number) {
    super('somebody else was faster each time');
    this.after = after;
  }
}

/** Sends a request. A refusal is an error with its text; only a GET may find nothing. */
async function call(method: string, path: string, headers: Record<string, string> = {}, body?: Json): Promise<Response> {
  const answer = await fetch(url + path, {
    method,
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  if (answer.ok || (answer.status === 404 && method === 'GET')) return answer;
  const text = await answer.text();
  if ([412, 429, 503].includes(answer.status)) {
    // Nothing was applied.
    throw new Conflict(1000 * Number(answer.headers.get('Retry-After') ?? 0));
  }
  throw new Error(`${method} ${path}: ${answer.status} ${text}`);
}

function etag(answer: Response): string {
  const tag = answer.headers.get('ETag');
  if (tag === null) throw new Error('the answer has no ETag: is this a Store, or does a proxy drop it?');
  return tag;
}

/** Changes a run document; `change` takes what stands there, `{}` where nothing does. */
async function updateDocument(name: string, change: (document: Members) => Members): Promise<void> {
  const path = `/run-stores/${encodeURIComponent(name)}`;
  const answer = await call('GET', path);
  const old = (await answer.json()) as Members;
  const found = answer.status === 200;
  const condition: Record<string, string> = found ? { 'If-Match': etag(answer) } : { 'If-None-Match': '*' };
  await call('PUT', path, condition, change(found ? old : {}));
}

/** Changes keys of a namespace; `change` takes all of them and gives the operations. */
async function updateNamespace(name: string, change: (keys: Members) => Operation[]): Promise<void> {
  const path = `/api/storage?ns=${encodeURIComponent(name)}`;
  const answer = await call('GET', path);
  const operations = change((await answer.json()) as Members);
  const headers = { 'If-Match': etag(answer), 'X-Thesara-App-Id': 'counter', Prefer: 'return=minimal' };
  await call('PATCH', path, headers, operations);
}

/** Attempts until one wins; waits longer each time, for a time that differs between clients. */
async function again(attempt: () => Promise<void>): Promise<void> {
  for (let number = 0; number < TRIES; number++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      const wait = Math.max(error.after, Math.random() * Math.min(1000, 10 * 2 ** number));
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  throw new Error(`given up after ${TRIES} tries: somebody else was faster each time`);
}

const next = (members: Members): number => Number(members.count ?? 0) + 1;

async function main(): Promise<void> {
  const [contract, name, times] = process.argv.slice(2);
  if ((contract !== 'kv' && contract !== 'run-store') || !name || !times) {
    throw new Error('usage: counter.js kv|run-store NAME TIMES');
  }
  for (let i = 0; i < Number(times); i++) {
    await again(() =>
      contract === 'kv'
        ? updateNamespace(name, (keys) => [{ op: 'set', key: 'count', value: next(keys) }])
        : updateDocument(name, (document) => ({ ...document, count: next(document) })),
    );
  }
  console.log(`added ${times}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
