// Loaded into servers that tests start: when the test process is gone, however it ended, so is the server.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.channel?.unref()
