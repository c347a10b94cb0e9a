/**
 * Loaded before each test file: what a test starts is a program as users start it, without tap's hooks. They look at every module that is
 * loaded, in every process and thread, which takes longer than all that a service does until it is ready.
 */
import processOnSpawn from 'process-on-spawn';

processOnSpawn.removeAllListeners();
delete process.env.NODE_OPTIONS;
