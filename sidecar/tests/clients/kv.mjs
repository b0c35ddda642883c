// A client of the KV storage API as its document describes it: read the ETag, send a PATCH under
// If-Match, treat 412 as a conflict whose ETag header says the current version.
import { base, check, passed, token } from './check.mjs';

class Conflict extends Error {
  constructor(etag) {
    super(`conflict, current version ${etag}`);
    this.etag = etag;
  }
}

const address = (namespace) => `${base}/api/storage?ns=${encodeURIComponent(namespace)}`;
const credentials = { Authorization: `Bearer ${token}` };

async function read(namespace) {
  const answer = await fetch(address(namespace), { headers: credentials });
  check(answer.ok, `GET to succeed, not ${answer.status}`);
  return { etag: answer.headers.get('ETag') ?? '"0"', snapshot: await answer.json() };
}

async function write(namespace, operations, etag, app = 'client') {
  const answer = await fetch(address(namespace), {
    method: 'PATCH',
    headers: {
      ...credentials,
      'Content-Type': 'application/json',
      'If-Match': etag,
      'X-Thesara-App-Id': app,
    },
    body: JSON.stringify(operations),
  });
  if (answer.status === 412) throw new Conflict(answer.headers.get('ETag'));
  check(answer.ok, `PATCH to succeed, not ${answer.status}`);
  return { status: answer.status, etag: answer.headers.get('ETag'), body: await answer.json() };
}

// The flow of the document: read, then write under what was read.
async function patchStorage(namespace, operations) {
  const { etag } = await read(namespace);
  return write(namespace, operations, etag);
}

const empty = await read('smoke');
check(empty.etag === '"0"', `an empty namespace to have "0", not ${empty.etag}`);
check(Object.keys(empty.snapshot).length === 0, 'an empty namespace to be {}');

const created = await patchStorage('smoke', [{ op: 'set', key: 'foo', value: 'bar' }]);
check(created.status === 201, `201 for the creation, not ${created.status}`);

const updated = await patchStorage('smoke', [
  { op: 'set', key: 'foo', value: 'baz' },
  { op: 'set', key: 'gone', value: { deep: [1, null, 'ü'] } },
  { op: 'del', key: 'gone' },
]);
check(updated.status === 200, `200 for the update, not ${updated.status}`);
check(updated.etag === '"2"', `version "2", not ${updated.etag}`);

let conflict;
try {
  await write('smoke', [{ op: 'set', key: 'foo', value: 'late' }], '"1"');
} catch (error) {
  conflict = error;
}
check(conflict instanceof Conflict, 'a stale ETag to conflict');
check(conflict.etag === '"2"', `the conflict to say "2", not ${conflict.etag}`);

const last = await read('smoke');
check(JSON.stringify(last.snapshot) === '{"foo":"baz"}', `{"foo":"baz"}, not ${JSON.stringify(last.snapshot)}`);

// Many tabs of one application, each retrying its conflicts, lose nothing.
async function increment(key) {
  for (;;) {
    const { etag, snapshot } = await read('counter');
    try {
      await write('counter', [{ op: 'set', key, value: (snapshot[key] ?? 0) + 1 }], etag);
      return;
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
    }
  }
}
await Promise.all(Array.from({ length: 12 }, () => increment('clicks')));
const { snapshot } = await read('counter');
check(snapshot.clicks === 12, `12 clicks, not ${snapshot.clicks}`);

const refused = await fetch(address('smoke'), { headers: { Authorization: 'Bearer wrong' } });
check(refused.status === 401, `401 for a wrong token, not ${refused.status}`);
const backend = refused.headers.get('X-Storage-Backend');
check(backend === 'local', `the backend to be told on errors too, not ${backend}`);

passed();
