/** The headers that a server has to send with a page, in the form that each of the common servers reads. */

/**
 * What the page may load: its own files alone. WebAssembly needs a word of its own, and pictures of the user are blobs.
 * https://developer.mozilla.org/docs/Web/HTTP/CSP
 */
const POLICY: Readonly<Record<string, string>> = {
  'default-src': "'none'",
  'script-src': "'self' 'wasm-unsafe-eval'",
  // The threads of the engine are blobs.
  'worker-src': "'self' blob:",
  'connect-src': "'self'",
  'style-src': "'self'",
  'img-src': "'self' blob: data:",
  'media-src': "'self' blob: mediastream:",
  'base-uri': "'none'",
  'form-action': "'none'",
};

/** The policy as the page itself states it, which holds whatever the server sends. */
export const contentSecurityPolicy: string = Object.entries(POLICY)
  .map((rule) => rule.join(' '))
  .join('; ');

/** The headers. The first two isolate the page from others, without which browsers give it one thread only. */
const HEADERS: Readonly<Record<string, string>> = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  // The worker has no page around it, whose policy would hold for it.
  'Content-Security-Policy': `${contentSecurityPolicy}; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
};

/** The types of files that older servers do not know. */
const TYPES: Readonly<Record<string, string>> = { wasm: 'application/wasm', onnx: 'application/octet-stream' };

/** The files for servers, by their names in the folder of the page. */
export function serverFiles(): Map<string, string> {
  const headers = Object.entries(HEADERS);
  const types = Object.entries(TYPES);
  const lines = (format: (name: string, value: string) => string) =>
    headers.map(([name, value]) => `${format(name, value)}\n`).join('');
  return new Map([
    // Netlify, Cloudflare Pages.
    ['_headers', `/*\n${lines((name, value) => `  ${name}: ${value}`)}`],
    [
      '.htaccess',
      `# For Apache, which needs mod_headers and "AllowOverride FileInfo" for this folder.\n<IfModule mod_headers.c>\n${lines(
        (name, value) => `  Header set ${name} "${value}"`,
      )}</IfModule>\n${types.map(([ending, type]) => `AddType ${type} .${ending}\n`).join('')}`,
    ],
    [
      'nginx.conf',
      `# For nginx: put these lines into the "location" of this folder.\n${lines(
        (name, value) => `add_header ${name} "${value}" always;`,
      )}gzip on;\ngzip_types application/javascript application/json application/wasm application/octet-stream text/css;\n`,
    ],
    // npx serve
    [
      'serve.json',
      `${JSON.stringify({ headers: [{ source: '**', headers: headers.map(([key, value]) => ({ key, value })) }] }, undefined, 2)}\n`,
    ],
    ['server.mjs', serverScript()],
  ]);
}

/** A server of Node.js alone, for trying the page. */
function serverScript(): string {
  return `// Serves this folder for trying the page on this machine: node server.mjs [port]
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { pipeline } from 'node:stream';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const headers = ${JSON.stringify(HEADERS, undefined, 2)};
const types = ${JSON.stringify({ html: 'text/html; charset=utf-8', css: 'text/css', js: 'text/javascript', mjs: 'text/javascript', json: 'application/json', ...TYPES }, undefined, 2)};

/** The file that a request asks for, with its size; undefined if there is none in this folder. */
function find(request) {
  try {
    const path = decodeURIComponent(new URL(request.url, 'http://x').pathname).replace(/[/]$/, '/index.html');
    const file = join(folder, normalize(path));
    const info = file.startsWith(folder) ? statSync(file) : undefined;
    return info?.isFile() ? { file, size: info.size } : undefined;
  } catch {
    return undefined;
  }
}

const port = Number(process.argv[2] ?? 8080);
if (!Number.isInteger(port) || port < 0 || port > 65535) fail(\`\${process.argv[2]} is no port; give a number such as 8080.\`);

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

const server = createServer((request, response) => {
  const found = find(request);
  if (!found) return response.writeHead(404, { ...headers, 'Content-Type': 'text/plain' }).end('There is no such file.');
  const type = types[extname(found.file).slice(1)] ?? 'application/octet-stream';
  response.writeHead(200, { ...headers, 'Content-Type': type, 'Content-Length': found.size });
  // A browser that goes away, or a file that cannot be read, ends this answer and not the server.
  pipeline(createReadStream(found.file), response, () => response.destroy());
});
server.on('error', ({ message }) => fail(\`The page is not served (\${message}); name another port, as in: node server.mjs 8081\`));
server.listen(port, '127.0.0.1', () => console.log(\`http://localhost:\${server.address().port}/\`));
`;
}
