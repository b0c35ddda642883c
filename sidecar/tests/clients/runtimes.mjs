// A reader of runtime configs as their document describes the config API: one file, or all files
// of a repository's branch.
import { base, check, passed, token } from './check.mjs';

const headers = { Authorization: `Bearer ${token}` };

async function runtime(repository, branch, path) {
  const answer = await fetch(`${base}/runtimes/${repository}/${branch}/${path}`, { headers });
  if (answer.status === 404) return null;
  check(answer.ok, `a config, not ${answer.status}`);
  return answer.json();
}

async function runtimes(repository, branch) {
  const answer = await fetch(`${base}/runtimes/${repository}/${branch}`, { headers });
  check(answer.ok, `a list, not ${answer.status}`);
  return answer.json();
}

const one = await runtime('etl', 'main', 'jobs/a_runtime.yaml');
check(one?.runtime?.id === 'a', `the config of a, not ${JSON.stringify(one)}`);
check((await runtime('etl', 'main', 'missing.yaml')) === null, '404 for a file that is not there');
check((await runtime('etl', 'dev', 'b_runtime.json')) === null, '404 for another branch');

const all = await runtimes('etl', 'main');
check(all.length === 2, `two configs, not ${all.length}`);
for (const row of all) {
  const columns = ['repo_id', 'branch', 'filepath', 'config', 'created_at', 'updated_at'];
  check(columns.every((column) => column in row), `every column of the table in ${JSON.stringify(row)}`);
  check(row.repo_id === 'etl' && row.branch === 'main', 'the repository and branch asked for');
  check(!Number.isNaN(Date.parse(row.created_at)), `a time, not ${row.created_at}`);
}
check(all[0].filepath < all[1].filepath, 'the list to be sorted by path');

passed();
