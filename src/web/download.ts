/** Saves a text or other contents as a file. */
export function download(name: string, contents: string | Blob): void {
  const blob = contents instanceof Blob ? contents : new Blob([contents], { type: 'application/json' });
  const url = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  URL.revokeObjectURL(url);
}
