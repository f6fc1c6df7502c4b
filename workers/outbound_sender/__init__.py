"""The outbound sender: every message to a customer goes out by one claimed request to the Cloud API.

Four stations, each with its rules, its store and its statements: `intake` (which message, to whom),
`claiming` (may it go now), `calling` (the request, and what its answer means), `results` (what came of it).
All of them know `message`. `sender` leads a batch through the intake, `sending` one message through the other
three; `chains` and `pacing` hold it back where its turn or its rate says so; `worker` composes, `watch` looks
on.

Where one reply waits, from its delivery to its acknowledgement, what for, and how long at most. Names of
limits are those of `shared.durations`; the other figures stand in `worker`.

delivery
   │   1  batch     others to be taken in with: 100 deliveries or 2 ms, 20 ms while as many are in hand
   │                (shared/consuming/consumer.py)
intake
   │   2  intake    the intake before it, one at a time of each queue; up to 20 batches or 2 ms go together
   │                (shared/consuming/collector.py)
   │   3  lock      its customer: whom another process has, or whose row stays locked for lock_wait_s, leaves
   │                the batch and waits alone for lock_patience_s; then the message is retried, counted
   │                (intake/admission.py, shared/consuming/lines.py)
   │      hand      no wait: who finds none is deferred (intake/shares.py)
   │   4  turn      earlier messages of its customer and lane, of which pair_burst may be in hand (chains.py)
claiming
   │   5  permit    its number's rate and its customer's: until it may ask, as long as those before it take;
   │                then held_in_hand_s, after which it is deferred (shared/coordination/rate.py)
   │   6  claim     others to be claimed with: 64 or 2 ms, 40 ms while many are in hand, two transactions at
   │                once; then locked rows, as in 3 (claiming/store.py)
calling
   │   7  start     its place in an even row of requests, and a connection: what has not started claim_start_s
   │                after its claim is claimed anew (pacing.py, calling/cloud_api.py)
   │   8  answer    http_timeout_s with the connection; no answer by then is ambiguous (calling/cloud_api.py)
results
   │   9  record    others to be written with, as in 6, three transactions at once; while PostgreSQL is away
   │                or the row is locked, hold_when_store_away_s (results/store.py)
   │  10  confirm   RabbitMQ, for outbound.sent: publish_confirm_s, after which the scheduler publishes it
   │                (shared/durable/outbox.py)
acknowledgement     (shared/consuming/settlement.py)
"""
