/** A contact sheet of scored images: `mkd score --sheet`. */
import { replaceFile } from '../files/replace-file.js';
import { contactSheet, forSheet, type SheetPicture } from '../imaging/index.js';
import type { Localization } from '../library.js';

/** Images on one sheet. */
const most = 60;

const frames = { anomalous: '#b3361b', good: '#12805c' } as const;

export class Sheet {
  /** The highest scores first; no more than are shown. */
  #pictures: (SheetPicture & { readonly score: number })[] = [];
  #count = 0;

  constructor(private readonly path: string) {}

  async add(localization: Localization): Promise<void> {
    const { score, verdict } = localization;
    this.#count++;
    const lowest = this.#pictures.at(-1);
    if (lowest && this.#pictures.length === most && lowest.score >= score) return;
    const png = await forSheet(await localization.overlay());
    this.#pictures.push({ png, frame: frames[verdict], score });
    this.#pictures.sort((a, b) => b.score - a.score);
    this.#pictures.length = Math.min(this.#pictures.length, most);
  }

  /** @returns what to tell. */
  async write(): Promise<string> {
    const shown = this.#pictures.length;
    if (shown === 0) return 'there is no image for the sheet';
    await replaceFile(this.path, await contactSheet(this.#pictures));
    return `${this.path} shows ${shown < this.#count ? `the ${shown} highest of ${this.#count} images` : shown === 1 ? '1 image' : `${shown} images`}, anomalous ones in red`;
  }
}
