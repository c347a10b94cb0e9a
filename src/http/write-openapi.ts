/** Writes openapi.yaml from the schemas of the routes: `npm run openapi`. */
import { writeFile } from 'node:fs/promises';
import { buildApp } from './app.js';

const [, , file = 'openapi.yaml'] = process.argv;
const app = await buildApp();
await writeFile(file, app.swagger({ yaml: true }));
await app.close();
