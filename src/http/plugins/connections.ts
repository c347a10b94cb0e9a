/** Connections that Node would wait for on close, although they carry no accepted request. */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Tracks connections without any request so far, as load balancers and client pools open them: Node does not count them
 * as idle.
 * @returns a function that closes them.
 */
export function trackUnusedConnections(server: Pick<Server, 'on'>, event: 'connection' | 'secureConnection') {
  const unused = new Set<Socket>();
  server.on(event, (socket: Socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  server.on('request', ({ socket }: { readonly socket: Socket }) => unused.delete(socket));
  return (): void => {
    for (const socket of unused) socket.destroy();
  };
}

/**
 * Tracks requests whose body is still arriving.
 * @returns a function that closes their connections, and returns how many there were.
 */
export function trackUploads(server: Pick<Server, 'on'>): () => number {
  const open = new Set<IncomingMessage>();
  server.on('request', (request: IncomingMessage) => {
    open.add(request);
    request.once('close', () => open.delete(request));
  });
  return () => {
    const unfinished = [...open].filter(({ complete }) => !complete);
    for (const { socket } of unfinished) socket?.destroy();
    return unfinished.length;
  };
}
