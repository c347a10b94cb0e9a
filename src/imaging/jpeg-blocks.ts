/**
 * Counts the blocks that a JPEG's scan holds. Decoders warn of a scan that ends too early, but libvips does not look at what
 * was warned of while the last eight rows were read: a file that lost its last bytes would be scored with gray blocks in it.
 * Only the codes are read, no pixel is computed (ITU T.81, annex F).
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { isFrame, isRestart, jpegMarker, jpegSegments, wordAt } from './jpeg-segments.js';

/** Component of a frame: sampling factors. */
interface Component {
  readonly id: number;
  readonly across: number;
  readonly down: number;
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly components: readonly Component[];
}

/** Tables of the codes by their next 16 bits: length and symbol of each code, `length << 8 | symbol`; 0 is no code. */
type CodeTable = Uint16Array;

/**
 * Says what is wrong with the number of blocks in a sequential scan; undefined if nothing is. Files of several scans are not
 * judged: decoders read all of them before the first row.
 */
export async function blockFault(bytes: Uint8Array): Promise<string | undefined> {
  const tables = new Map<number, CodeTable>();
  let frame: Frame | undefined;
  let interval = 0;
  for (const { kind, data, end } of jpegSegments(bytes)) {
    if (kind === jpegMarker.sof0 || kind === jpegMarker.sof1) frame = frameOf(data);
    else if (isFrame(kind)) return undefined;
    else if (kind === jpegMarker.dht) readTables(data, tables);
    else if (kind === jpegMarker.dri) interval = wordAt(data, 0);
    else if (kind === jpegMarker.sos) {
      return frame && faultIn(bytes, end, frame, data, tables, interval);
    }
  }
  return undefined;
}

function frameOf(segment: Uint8Array): Frame | undefined {
  if (segment[0] !== 8) return undefined;
  const components = Array.from({ length: segment[5] ?? 0 }, (_, index) => {
    const [id = 0, sampling = 0] = segment.subarray(6 + 3 * index);
    return { id, across: sampling >> 4, down: sampling & 15 };
  });
  const usable = components.every(({ across, down }) => across > 0 && down > 0);
  const [height, width] = [wordAt(segment, 1), wordAt(segment, 3)];
  return usable && components.length > 0 && width > 0 && height > 0
    ? { width, height, components }
    : undefined;
}

/** Reads a segment of code tables, annex C; the key is class and number, as in the file. */
function readTables(segment: Uint8Array, tables: Map<number, CodeTable>): void {
  for (let at = 0; at + 17 <= segment.length; ) {
    const key = segment[at] as number;
    const table = new Uint16Array(0x10000);
    let code = 0;
    let symbol = at + 17;
    for (let length = 1; length <= 16; length++, code <<= 1) {
      for (let count = segment[at + length] as number; count > 0; count--, code++, symbol++) {
        const first = code << (16 - length);
        table.fill((length << 8) | (segment[symbol] ?? 0), first, first + (1 << (16 - length)));
      }
    }
    tables.set(key, table);
    at = symbol;
  }
}

/** Units of blocks that are read before others have their turn: a few milliseconds. */
const unitsAtOnce = 4096;

/** Says whether a scan lacks blocks, or has too many. */
async function faultIn(
  bytes: Uint8Array,
  from: number,
  { width, height, components }: Frame,
  header: Uint8Array,
  tables: ReadonlyMap<number, CodeTable>,
  interval: number,
): Promise<string | undefined> {
  if (header[0] !== components.length) return undefined;
  const single = components.length === 1;
  const [across, down] = [
    Math.max(...components.map((each) => each.across)),
    Math.max(...components.map((each) => each.down)),
  ];
  const unit = (side: number, factor: number): number => Math.ceil(side / (8 * (single ? 1 : factor)));
  const units = unit(width, across) * unit(height, down);
  /** The tables of each block of a unit. */
  const blocks: { readonly dc: CodeTable; readonly ac: CodeTable }[] = [];
  for (let index = 0; index < components.length; index++) {
    const selector = header[2 + 2 * index] ?? 0;
    const component = components.find(({ id }) => id === header[1 + 2 * index]);
    const [dc, ac] = [tables.get(selector >> 4), tables.get(0x10 | (selector & 15))];
    // Without tables of its own a file has those of the standard; no decoder warns of that.
    if (!component || !dc || !ac) return undefined;
    const count = single ? 1 : component.across * component.down;
    for (let block = 0; block < count; block++) blocks.push({ dc, ac });
  }
  const reader = new CodeReader(bytes, from);
  for (let done = 0; done < units; done++) {
    // A large file takes hundreds of milliseconds.
    if (done % unitsAtOnce === unitsAtOnce - 1) await nextTurn();
    if (interval > 0 && done > 0 && done % interval === 0 && !reader.restart()) {
      return missing(1 - done / units);
    }
    for (const { dc, ac } of blocks) {
      if (!reader.skipBlock(dc, ac)) return missing(1 - done / units);
    }
  }
  // Which of them are the right ones, cannot be told.
  return reader.restart() && !reader.atEnd ? 'it holds more blocks than its size needs' : undefined;
}

function missing(share: number): string {
  return `the last ${Math.max(0.1, Math.round(1000 * share) / 10)} % of its pixels are missing`;
}

/** Reads codes; behind the end of the data there are zeros. */
class CodeReader {
  #bits = 0;
  #count = 0;
  /** Of the bits held, those behind the end. */
  #invented = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
  ) {}

  /** Reads the codes of a block. @returns false if there is no such code, or the data has ended. */
  skipBlock(dc: CodeTable, ac: CodeTable): boolean {
    const size = this.#symbol(dc);
    if (size < 0) return false;
    this.#skip(size & 15);
    for (let place = 1; place < 64; place++) {
      const symbol = this.#symbol(ac);
      if (symbol < 0) return false;
      const bits = symbol & 15;
      // Without bits it is the end of the block, or a run of 16 zeros.
      if (bits === 0 && symbol !== 0xf0) break;
      place += symbol >> 4;
      this.#skip(bits);
    }
    return this.#count >= this.#invented;
  }

  /** Whether the end marker is next. */
  get atEnd(): boolean {
    return this.bytes[this.at] === undefined || this.bytes[this.at + 1] === jpegMarker.eoi;
  }

  /** Goes on behind the next restart marker. @returns false if there is none. */
  restart(): boolean {
    this.#bits = 0;
    this.#count = 0;
    this.#invented = 0;
    const { bytes } = this;
    while (bytes[this.at] === 0xff && bytes[this.at + 1] === 0xff) this.at++;
    if (bytes[this.at] !== 0xff || !isRestart(bytes[this.at + 1])) return false;
    this.at += 2;
    return true;
  }

  #symbol(table: CodeTable): number {
    this.#fill();
    const entry = table[(this.#bits >>> (this.#count - 16)) & 0xffff] as number;
    if (entry === 0) return -1;
    this.#count -= entry >> 8;
    return entry & 0xff;
  }

  #skip(bits: number): void {
    if (this.#count < bits) this.#fill();
    this.#count -= bits;
  }

  /** Holds at least 16 bits. */
  #fill(): void {
    const { bytes } = this;
    while (this.#count <= 16) {
      const byte = bytes[this.at];
      let value = 0;
      if (byte === undefined || (byte === 0xff && bytes[this.at + 1] !== 0)) this.#invented += 8;
      else {
        value = byte;
        this.at += byte === 0xff ? 2 : 1;
      }
      this.#bits = ((this.#bits << 8) | value) & 0xffffff;
      this.#count += 8;
    }
  }
}
