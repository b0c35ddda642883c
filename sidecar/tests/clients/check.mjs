// What the clients share: a failed check ends the program with a sentence.
import process from 'node:process';

export const base = process.env.STORE_URL;
export const token = process.env.STORE_TOKEN;

export function check(condition, what) {
  if (!condition) {
    console.error(`expected: ${what}`);
    process.exit(1);
  }
}

export function passed() {
  console.log('all checks passed');
}
