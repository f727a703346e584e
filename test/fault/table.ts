// The faults that a machine really has, and the tests that try each. `npm test` runs them shortly, `npm run faults` at length.
// Judged in every row: nothing acknowledged is lost, no device is wrongly admitted, the process lives and others stay.

/** `names` are parts of test names; without, the whole file belongs to the row. Files lie below test/. */
export type Row = { row: string; fault: string; tests: { file: string; names?: string[] }[] }

export const faults: Row[] = [
  {
    row: 'kill-operators',
    fault: 'kill -9 while operators enroll and revoke: listening again within 3 s, the record is whole',
    tests: [{ file: 'fault/kill-loop.test.ts' }],
  },
  {
    row: 'kill-messages',
    fault: 'kill -9 of the broker under QoS 1 and 2: every acknowledged message arrives, QoS 2 once',
    tests: [{ file: 'fault/killed-sessions.test.ts' }],
  },
  {
    row: 'expiry-over-ends',
    fault:
      'a restart or kill -9 between: sessions, wills and messages of MQTT 5 end to the millisecond, properties stay',
    tests: [{ file: 'fault/expiry-over-ends.test.ts' }],
  },
  {
    row: 'kill-import',
    fault: 'kill -9 during an import: each row ends as one device, waiting callers are told',
    tests: [{ file: 'fault/import-kill.test.ts' }],
  },
  {
    row: 'kill-processes',
    fault: 'kill -9 of gate, broker, provisioning, supervisor under load: 95 % of the fleet back within 30 s',
    tests: [{ file: 'fault/killed-processes.test.ts' }],
  },
  {
    row: 'kill-gate',
    fault:
      'kill -9 of a gate, then of the broker behind gates: no process is left behind, everybody comes back',
    tests: [{ file: 'fault/gates.test.ts' }],
  },
  {
    row: 'power-loss',
    fault: 'the power fails and unflushed writes are gone: nothing answered or acknowledged is lost',
    tests: [{ file: 'fault/power-loss.test.ts' }],
  },
  {
    row: 'kill-signing',
    fault: 'kill -9 at every write of an enrollment: what was signed can be revoked, asking again is safe',
    tests: [{ file: 'fault/killed-while-signing.test.ts' }],
  },
  {
    row: 'disk-full',
    fault: 'the registry’s disk is full: 507, the listed still admitted, well again within 5 s of space',
    tests: [{ file: 'fault/disk-full.test.ts' }],
  },
  {
    row: 'disk-full-store',
    fault: 'the session store’s disk is full: nothing acknowledged that is not kept, others go on',
    tests: [{ file: 'fault/full-session-store.test.ts' }],
  },
  {
    row: 'disk-full-events',
    fault: 'the disk of the event log is full: what it cannot take is counted, everything else goes on',
    tests: [{ file: 'fault/full-event-log.test.ts' }],
  },
  {
    row: 'registry-locked',
    fault: 'the registry is locked by another process: 503 and Retry-After, admission goes on',
    tests: [{ file: 'fault/locked-registry.test.ts' }],
  },
  {
    row: 'registry-lost',
    fault: 'the registry is gone, replaced or damaged: nobody admitted on doubt, said aloud',
    tests: [
      { file: 'fault/lost-registry.test.ts' },
      { file: 'fault/registry.test.ts' },
      { file: 'fault/open-mode.test.ts' },
      { file: 'fault/registry-loss-modes.test.ts' },
    ],
  },
  {
    row: 'start-failures',
    fault: 'a start that cannot work says so, and leaves nothing running',
    tests: [{ file: 'fault/start-failures.test.ts' }],
  },
  {
    row: 'clock',
    fault: 'the clock is two years ahead, two years behind, or jumps: expired and not yet valid refused',
    tests: [{ file: 'fault/clock.test.ts' }, { file: 'fault/clock-jump.test.ts' }],
  },
  {
    row: 'revoke-connected',
    fault: 'revoked while connected, connecting or in mid-message: cut within a second, ticket and will dead',
    tests: [
      { file: 'race/revoke-while-connecting.test.ts' },
      { file: 'race/in-flight-at-the-cut.test.ts' },
      { file: 'broker/gate/tls/resumption.test.ts' },
    ],
  },
  {
    row: 'revoke-away',
    fault: 'revoked while away, with queue, retained message and will: nothing of them is delivered',
    tests: [
      { file: 'broker/revocation/stored-state-of-ended-rights.test.ts' },
      { file: 'broker/revocation/startup-reconciliation.test.ts' },
    ],
  },
  {
    row: 'ca-rotation',
    fault: 'the issuing CA rotates under load: nobody refused in the overlap, the old CA after it',
    tests: [{ file: 'e2e/ca-rotation.test.ts' }],
  },
  {
    row: 'agents',
    fault:
      'a simulated run over two agents: one far away with a clock an hour ahead, one whose link goes down; one clock, no loss, said',
    tests: [{ file: 'fault/agents.test.ts' }],
  },
  {
    row: 'network',
    fault:
      '10 % packet loss, 1 Mbit/s, resets, a network split: nothing lost, QoS 2 once, the dead peer is found',
    tests: [{ file: 'fault/network.test.ts' }],
  },
  {
    row: 'half-open',
    fault: '500 half-open handshakes, 500 without CONNECT: closed within 10 s, others connect meanwhile',
    tests: [{ file: 'fault/half-open.test.ts' }],
  },
  {
    row: 'crowding-out',
    fault: 'a flood of bad certificates; a consumer that does not read 100,000 messages: only they pay',
    tests: [{ file: 'fault/crowding-out.test.ts' }],
  },
  {
    row: 'packet-bombs',
    fault:
      'declared sizes of 256 MB, endless topics, 4,000 subscriptions in a packet: refused on sight, memory and loop flat',
    tests: [
      { file: 'broker/threats/resources.test.ts' },
      {
        file: 'broker/mqtt/connection/floods.test.ts',
        names: ['packetBytesMax', 'connectBytesMax', '4,000', 'too many levels'],
      },
    ],
  },
  {
    row: 'floods',
    fault: 'QoS 2 without PUBREL, retained flood: capped, only the offender is closed',
    tests: [
      {
        file: 'broker/mqtt/connection/floods.test.ts',
        names: ['without PUBREL', 'deviceRetainedMessagesMax'],
      },
    ],
  },
  {
    row: 'kill-consumers',
    fault:
      'consumers that share a subscription are killed under QoS 1, and one stays: every acknowledged message is consumed',
    tests: [{ file: 'fault/killed-consumers.test.ts' }],
  },
  {
    row: 'descriptors',
    fault: 'descriptors run out: new connections refused, old ones kept, well again afterwards',
    tests: [{ file: 'fault/descriptors.test.ts' }],
  },
  {
    row: 'stop-under-load',
    fault: 'SIGTERM under QoS 1 and 2: what is half done is finished within 10 s, nothing acknowledged lost',
    tests: [{ file: 'broker/shutdown.test.ts' }],
  },
  {
    row: 'rolling-restart',
    fault:
      'the system is restarted again and again beside a reconnecting fleet: nothing acknowledged lost, all back',
    tests: [{ file: 'fault/rolling-restart.test.ts' }],
  },
  ...[
    ['certificates', 'fault/parsers.test.ts', 'certificates'],
    ['requests', 'fault/parsers.test.ts', 'certification requests'],
    ['crls', 'fault/parsers.test.ts', 'CRLs'],
    ['ocsp', 'fault/parsers.test.ts', 'OCSP requests'],
    ['proxy-headers', 'fault/parsers.test.ts', 'PROXY headers'],
    ['json', 'fault/parsed-bodies.test.ts', 'JSON of any shape'],
    ['est', 'fault/parsed-bodies.test.ts', 'EST is answered'],
    ['uploads', 'fault/parsed-bodies.test.ts', 'CRLs and uploads'],
    ['web-sockets', 'fault/parsed-bodies.test.ts', 'of any kind end no process'],
    ['tpms', 'fault/tpm-parsers.test.ts', 'public areas and endorsement certificates'],
    ['cmp', 'fault/cmp-parsers.test.ts', 'messages of CMP'],
    ['acme', 'fault/acme-requests.test.ts', 'requests of ACME'],
    ['mqtt-packets', 'fault/mqtt-parsers.test.ts', 'packets of MQTT 3.1'],
  ].map(([what, file, name]) => ({
    row: `fuzz-${what}`,
    fault: `${what!.replaceAll('-', ' ')} damaged by chance for ten minutes: a value or a reason, never an exception`,
    tests: [{ file: file!, names: [name!] }],
  })),
  {
    row: 'admission-memory',
    fault:
      '200,000 admissions of CA-signed devices: none leaves native memory, resident memory stays within 1.15 × of that after 20,000',
    tests: [{ file: 'fault/admission-memory.test.ts' }],
  },
  {
    row: 'malformed',
    fault: 'malformed packet sequences: no process ends, nobody else notices, heap flat within 10 %',
    tests: [{ file: 'fault/malformed.test.ts' }],
  },
  {
    row: 'several-nodes',
    fault:
      'nodes, bus or database of several machines are killed, hang or restart: nothing acknowledged lost, QoS 2 once, one owner a session',
    tests: [
      { file: 'broker/cluster/faults.test.ts' },
      { file: 'broker/cluster/lost-answers.test.ts' },
      { file: 'fuzz/several-nodes.test.ts' },
    ],
  },
  {
    row: 'slow-database',
    fault:
      'PostgreSQL answers one node 0.1 s late, then is cut off from it: nothing lost, a revocation holds, the other node goes on',
    tests: [{ file: 'fault/slow-database.test.ts' }],
  },
  {
    row: 'database-full',
    fault:
      'the disk of PostgreSQL is full, and it is killed then: nothing acknowledged is lost, QoS 0 goes on',
    tests: [{ file: 'fault/full-database.test.ts' }],
  },
  {
    row: 'database-failover',
    fault:
      'PostgreSQL fails over to a standby, synchronous or behind: nothing acknowledged lost, or whatever knows more than it ends or refuses',
    tests: [{ file: 'db/replication/failover.test.ts' }, { file: 'broker/cluster/failover.test.ts' }],
  },
  {
    row: 'kill-services',
    fault:
      'provisioning services of two machines are killed in mid-import and while a CRL is made: another has the lease, nothing is half done',
    tests: [{ file: 'fault/killed-services.test.ts' }],
  },
  {
    row: 'several-machines',
    fault:
      'three machines, each cut off, killed and parted in turn, with a revocation during each: nothing acknowledged lost, receipts true',
    tests: [{ file: 'fault/several-machines.test.ts' }],
  },
]
