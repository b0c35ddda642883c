// A client of the artifact storage service as its document describes it: a worker that uploads what
// it built and logs that, a server that fetches an artifact, and a page that lists the versions.
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { base, check, passed, token } from './check.mjs';

const credentials = { Authorization: `Bearer ${token}` };
const site = `${base}/sites/my-site`;

async function storeArtifact(build, body) {
  const answer = await fetch(`${site}/artifacts/${build}`, {
    method: 'PUT',
    headers: { ...credentials, 'Content-Type': 'application/gzip' },
    body,
    duplex: 'half',
  });
  check(answer.status === 201, `201 for an upload, not ${answer.status}`);
  const stored = await answer.json();
  check(stored.status === 'success', `success, not ${JSON.stringify(stored)}`);
  return stored;
}

// It wants the archive as it is: a gzip file is no content coding.
async function fetchArtifact(url) {
  const answer = await fetch(url, { headers: { ...credentials, 'Accept-Encoding': 'identity' } });
  if (answer.status === 404) return null;
  check(answer.status === 200, `200 for a download, not ${answer.status}`);
  check(answer.headers.get('Content-Type') === 'application/gzip', 'a gzip file');
  check(answer.headers.get('Content-Encoding') === null, 'no content coding');
  return answer;
}

async function writeLog(entry) {
  const answer = await fetch(`${site}/logs`, {
    method: 'POST',
    headers: { ...credentials, 'Content-Type': 'application/json' },
    body: JSON.stringify(entry),
  });
  check(answer.status === 201, `201 for a log entry, not ${answer.status}`);
  return answer.json();
}

async function listVersions() {
  const answer = await fetch(`${site}/versions`, { headers: credentials });
  check(answer.status === 200, `200 for the versions, not ${answer.status}`);
  const list = await answer.json();
  check(list.site_id === 'my-site', `the site, not ${list.site_id}`);
  return list.versions;
}

const health = await fetch(`${base}/health`);
check((await health.json()).status === 'healthy', 'the health check to answer');

check((await listVersions()).length === 0, 'no version at first');
check((await fetchArtifact(`${site}/artifacts/build-123`)) === null, 'no artifact at first');

const text = 'a page of the site\n'.repeat(50_000);
const archive = gzipSync(text);
const stored = await storeArtifact('build-123', archive);
check(stored.size_bytes === archive.length, `${archive.length} bytes, not ${stored.size_bytes}`);
const sha256 = createHash('sha256').update(archive).digest('hex');
check(stored.sha256 === sha256, `${sha256}, not ${stored.sha256}`);

// As a stream, whose length nobody knows ahead.
const pieces = new ReadableStream({
  start(controller) {
    for (let at = 0; at < archive.length; at += 1_000) controller.enqueue(archive.subarray(at, at + 1_000));
    controller.close();
  },
});
check((await storeArtifact('build-124', pieces)).sha256 === sha256, 'the same bytes as a stream');

for (const url of [`${site}/artifacts/build-123`, `${base}/artifacts/my-site/build-124`]) {
  const answer = await fetchArtifact(url);
  const name = answer.headers.get('Content-Disposition');
  check(/^attachment; filename=my-site-build-12[34]\.tar\.gz$/.test(name), `a file name, not ${name}`);
  const bytes = Buffer.from(await answer.arrayBuffer());
  check(gunzipSync(bytes).toString() === text, 'what was uploaded');
}

const logged = await writeLog({
  build_id: 'build-123',
  action: 'build',
  status: 'success',
  metadata: { files_changed: 3, duration_ms: 45000 },
});
check(logged.status === 'success', `success, not ${JSON.stringify(logged)}`);
await writeLog({ build_id: 'build-125', action: 'build', status: 'failed' });

const versions = await listVersions();
const ids = versions.map((version) => version.build_id).join();
check(ids === 'build-125,build-123', `the newest first and those with a log, not ${ids}`);
const [failed, built] = versions;
check(failed.size_bytes === null, 'no size without an artifact');
check(built.size_bytes === archive.length, `the size of the artifact, not ${built.size_bytes}`);
check(!Number.isNaN(Date.parse(built.created_at)), `a time, not ${built.created_at}`);
check(built.logs.length === 1 && built.logs[0].action === 'build', 'the log entry below its build');
check(built.logs[0].status === 'success', 'the status of the entry');
check(built.logs[0].timestamp === logged.timestamp, 'the time of the entry');
check(built.metadata.files_changed === 3, 'what the entry came with');

passed();
