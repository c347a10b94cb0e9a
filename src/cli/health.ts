/**
 * The container's health check: whether the service on this machine is ready, by the variables it was started with. It
 * runs every few seconds and therefore loads nothing but Node.js.
 */
import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';

const { PORT = '8080', MKD_OPERATIONS_PORT, MKD_TLS_CERT } = process.env;
// The operations port is always plain HTTP. The certificate is for another name than this address.
const secure = MKD_OPERATIONS_PORT === undefined && MKD_TLS_CERT !== undefined;
const url = `${secure ? 'https' : 'http'}://127.0.0.1:${MKD_OPERATIONS_PORT ?? PORT}/health/ready`;
const request = secure ? getSecure(url, { rejectUnauthorized: false }, judge) : getPlain(url, judge);
request.on('error', (error) => {
  console.error(`${url}: ${error.message}`);
  process.exit(1);
});

function judge({ statusCode }: { statusCode?: number | undefined }): void {
  if (statusCode !== 200) console.error(`${url}: ${statusCode}`);
  process.exit(statusCode === 200 ? 0 : 1);
}
