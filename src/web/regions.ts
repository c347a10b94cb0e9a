import { signal } from '@preact/signals';

/** The region that is pointed at in the list, by its place there. */
export const regionHovered = signal<number | undefined>(undefined);
