// A client of a durable run store as its document describes it: one URL, a bearer token, a
// document under compare-and-swap, and another try after 429, 502, 503 and 504.
import { base, check, passed, token } from './check.mjs';

const url = `${base}/`;
const TRANSIENT = new Set([429, 502, 503, 504]);
const TRIES = 4;

async function request(method, headers = {}, body) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(url, {
      method,
      headers: { Authorization: `Bearer ${token}`, Accept: 'application/json', ...headers },
      body,
    });
    if (!TRANSIENT.has(answer.status) || attempt === TRIES) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50 * 2 ** attempt));
  }
}

async function load() {
  const answer = await request('GET');
  if (answer.status === 404) return { etag: null, store: { runs: {} } };
  check(answer.status === 200, `200 or 404, not ${answer.status}`);
  return { etag: answer.headers.get('etag'), store: await answer.json() };
}

async function save(store, etag) {
  const condition = etag === null ? { 'If-None-Match': '*' } : { 'If-Match': etag };
  const headers = { 'Content-Type': 'application/json', ...condition };
  const answer = await request('PUT', headers, JSON.stringify(store));
  if (answer.status === 412) return null;
  check(answer.status === 200, `200 or 412, not ${answer.status}`);
  return { etag: answer.headers.get('etag'), store: await answer.json() };
}

async function update(change) {
  for (;;) {
    const { etag, store } = await load();
    change(store);
    const saved = await save(store, etag);
    if (saved !== null) return saved;
  }
}

const before = await load();
check(before.etag === null, 'nothing to be there at first');

const first = await save({ runs: { one: { state: 'queued' } } }, null);
check(first !== null && first.etag, 'the first write to succeed with an ETag');
check((await save({ runs: {} }, null)) === null, 'a second first write to be refused');
check((await save({ runs: {} }, '"stale"')) === null, 'a stale ETag to be refused');

const second = await save({ runs: { one: { state: 'done' } } }, first.etag);
check(second !== null && second.etag !== first.etag, 'a new ETag for a new version');
check(second.store.runs.one.state === 'done', 'the answer to hold the document');

const names = Array.from({ length: 12 }, (_, index) => `run-${index}`);
await Promise.all(names.map((name) => update((store) => { store.runs[name] = { state: 'queued' }; })));
const { store } = await load();
check(names.every((name) => store.runs[name]), 'every concurrent run to be there');
check(store.runs.one.state === 'done', 'the first run to be there still');

const health = await fetch(`${url}health`);
check(health.ok && (await health.json()).status === 'healthy', 'the health check to answer');

const unauthorised = await fetch(url);
check(unauthorised.status === 401, `401 without a token, not ${unauthorised.status}`);

passed();
