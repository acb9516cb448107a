// What an issue of an escalation says, as another renderer than the bot's own parser shows it: nothing that a stranger wrote
// may be a link, a mention, a reference or an element.

import { readFileSync } from 'node:fs';
import MarkdownIt from 'markdown-it';

const renderer = new MarkdownIt('default', { html: true, linkify: true });

/** GitHub's own page, the only address that these texts lead to. */
const PAGE = /^https:\/\/github\.com\/organizations\/acme\/settings\/personal-access-token-requests$/;

/** The elements that are ours, and the comment that nobody sees. */
const OURS = /^(<details>|<\/details>|<summary>How every rule judged it<\/summary>|<!-- patwarden:[A-Za-z0-9:.]+ -->|\s)*$/;

/** What GitHub makes more of than this renderer: mentions, references to issues and commits. */
const MORE = [/@/, /#\d/, /\bGH-\d/, /\b[0-9a-f]{7,40}\b/];

/** Everything that takes effect in a text and is not ours. */
export function effects(text) {
  const found = [];
  const walk = (token) => {
    if (token.type === 'html_block' || token.type === 'html_inline') {
      if (!OURS.test(token.content)) found.push(`HTML ${token.content}`);
    } else if (token.type === 'link_open') {
      if (!PAGE.test(token.attrGet('href'))) found.push(`a link to ${token.attrGet('href')}`);
    } else if (token.type === 'image' || token.type === 'table_open' || token.type === 'blockquote_open') {
      found.push(token.type);
    } else if (token.type === 'text') {
      for (const more of MORE) if (more.test(token.content)) found.push(`${more} in ${token.content}`);
    }
    for (const child of token.children ?? []) walk(child);
  };
  for (const token of renderer.parse(text, {})) walk(token);
  return found;
}

export const texts = () => JSON.parse(readFileSync(new URL('./texts.json', import.meta.url), 'utf8'));
