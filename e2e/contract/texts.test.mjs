import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effects, texts } from './texts.mjs';

test('nothing that a stranger wrote takes effect', () => {
  const all = texts();
  assert.ok(all.length > 300, `only ${all.length} texts`);
  for (const text of all) assert.deepEqual(effects(text), [], text);
});

test('what takes effect is found', () => {
  for (const text of ['<b>x</b>', 'https://evil.example', '[x](y)', '![x](y)', '@olga', 'see #1', 'GH-3', '0123456789abcdef', '> x', 'a `b\n\n@c` d']) {
    assert.notDeepEqual(effects(text), [], text);
  }
  for (const text of ['`@olga #1`', '```text\n<b>\n```', 'plain']) assert.deepEqual(effects(text), [], text);
});
