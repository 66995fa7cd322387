// Runs jobs that do nothing, out of Node's two job queues for Postgres, and prints how long it took:
//
//     node jobs.mjs graphile-worker|pg-boss DATABASE_URL JOBS
//
// All jobs are there before the clock starts. It stops when the database shows the last job as done.
import pg from 'pg'

const [, , library, url, count] = process.argv
const jobs = Number(count)
const pool = new pg.Pool({ connectionString: url, max: 1 })

const unfinished = async (sql) => Number((await pool.query(sql)).rows[0].n)
const until = async (sql) => {
  while (await unfinished(sql) > 0) await new Promise((resolve) => setTimeout(resolve, 5))
}
const report = (begin) => console.log(JSON.stringify({ jobs, seconds: (performance.now() - begin) / 1000 }))

// The preset is that of worker.graphile.org/docs/performance.
async function graphileWorker() {
  const { Logger, makeWorkerUtils, run } = await import('graphile-worker')
  const logger = new Logger(() => () => {})
  const utils = await makeWorkerUtils({ connectionString: url, logger })
  await utils.migrate()
  for (let i = 0; i < jobs; i += 1000) {
    await utils.addJobs(Array.from({ length: Math.min(1000, jobs - i) }, () => ({ identifier: 'nothing', payload: {} })))
  }
  let done = 0
  let last
  const all = new Promise((resolve) => { last = resolve })
  const begin = performance.now()
  const runner = await run({
    logger, noHandleSignals: true, taskList: { nothing: async () => { if (++done === jobs) last() } },
    preset: {
      worker: {
        connectionString: url, concurrentJobs: 24, maxPoolSize: 25, localQueue: { size: 500 },
        completeJobBatchDelay: 0, failJobBatchDelay: 0
      }
    }
  })
  await all
  await until('SELECT count(*) AS n FROM graphile_worker._private_jobs')
  report(begin)
  await runner.stop()
  await utils.release()
}

// It polls, at most twice a second, so the batches are as large as it takes for polling not to be the limit.
async function pgBoss() {
  const { PgBoss } = await import('pg-boss')
  const boss = new PgBoss({ connectionString: url, max: 20, supervise: false, schedule: false })
  boss.on('error', (error) => { throw error })
  await boss.start()
  await boss.createQueue('nothing')
  for (let i = 0; i < jobs; i += 1000) {
    await boss.insert('nothing', Array.from({ length: Math.min(1000, jobs - i) }, () => ({ data: {} })))
  }
  let done = 0
  let last
  const all = new Promise((resolve) => { last = resolve })
  const begin = performance.now()
  for (let i = 0; i < 8; i++) {
    await boss.work('nothing', { batchSize: 1000, pollingIntervalSeconds: 0.5 }, async (batch) => {
      done += batch.length
      if (done >= jobs) last()
    })
  }
  await all
  await until("SELECT count(*) AS n FROM pgboss.job WHERE name = 'nothing' AND state <> 'completed'")
  report(begin)
  await boss.stop({ graceful: false })
}

await (library === 'pg-boss' ? pgBoss() : graphileWorker())
await pool.end()
