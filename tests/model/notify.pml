// SPDX-License-Identifier: BSD-2-Clause
// Who wakes whom: both sides of a split queue with bursts and sleep, over memory with explicit store buffers.
//
// The driver moves N buffers through a ring of SIZE; indexes count modulo 4, so that they wrap. Both sides sleep when
// they find nothing to do. If a wake-up is lost, both end up asleep with buffers left: spin reports an invalid end state.
//
// Memory is weaker than x86 (TSO): a store goes to a buffer of its CPU and reaches memory some time later, stores to different
// fields in any order; a load reads memory at once. A side never loads what it stores (its own indexes are private), so nothing is
// forwarded. Fences wait until the buffer is empty. An eventfd is one bit, and writing or reading it drains the buffer, as the
// kernel's lock does.
//
// The environment chooses what to prove: EVENT_IDX=0|1, and MUTANT=1.. takes one fence or one second look out (see
// check_notify). One program serves all, as compiling takes longer than searching.

#ifndef N
#define N 7
#endif
#define SIZE	2
#define MASK	3

// What is in memory. Each is written by one side and read by the other.
#define AVAIL_IDX  0 // driver writes
#define USED_EVENT 1 // driver writes: used_event, or avail->flags
#define USED_IDX   2 // device writes
#define AVAIL_EVENT 3 // device writes: avail_event, or used->flags
byte mem[4];

#define DRIVER 0
#define DEVICE 1
chan buffer0 = [3] of { byte, byte };
chan buffer1 = [3] of { byte, byte };

bool event[2]; // the two eventfds, by who waits for it
byte event_idx, mutant;

#define STORE(buf, where, what) buf!where, what
#define FENCE(buf)		(len(buf) == 0)

// The mutants.
#define NO_FENCE_DRIVER_PUBLISH	1 // vq_fence() between vq_driver_publish() and vq_driver_needs_kick()
#define NO_FENCE_DRIVER_ENABLE	2 // the fence in vq_driver_enable_callbacks()
#define NO_RECHECK_DRIVER	3 // its second look at used->idx
#define NO_FENCE_DEVICE_PUBLISH	4 // vq_fence() between vq_device_publish() and vq_device_needs_notification()
#define NO_FENCE_DEVICE_ENABLE	5 // the fence in vq_device_enable_notification()
#define NO_RECHECK_DEVICE	6 // its second look at avail->idx
#define LAST_ONLY_DRIVER	7 // the decision looks at the last chain of a burst only (EVENT_IDX)
#define LAST_ONLY_DEVICE	8
#define OFF_BY_ONE		9 // (old, new] instead of [old, new) (EVENT_IDX)

// vq_need_event() modulo 4.
#define NEED_EVENT(event, new, old) (((new - event - 1) & MASK) < ((new - old) & MASK))
#define NEED_EVENT_MUTANT(event, new, old) (((new - event) & MASK) < ((new - old) & MASK))

// vq_used_ring_should_notify() and vq_driver_needs_kick(): sets yes. wish is used_event or the flags of the other side.
inline decide(wish, published, notified, valid, last_only, yes)
{
	d_step {
		if
		:: !valid -> yes = true; valid = true
		:: valid && event_idx && mutant == OFF_BY_ONE ->
			yes = NEED_EVENT_MUTANT(wish, published, notified)
		:: valid && event_idx && mutant != OFF_BY_ONE && !last_only ->
			yes = NEED_EVENT(wish, published, notified)
		:: valid && event_idx && mutant != OFF_BY_ONE && last_only ->
			yes = (published != notified) &&
			      NEED_EVENT(wish, published, ((published - 1) & MASK))
		:: valid && !event_idx ->
			yes = (published != notified) && wish == 0
		fi;
		notified = published;
		wish = 0
	}
}

// A store leaves the buffer: the oldest to any one field.
active proctype memory()
{
	byte what;

end:	do
	:: d_step { buffer0??[AVAIL_IDX, _] -> buffer0??AVAIL_IDX, what -> mem[AVAIL_IDX] = what; what = 0 }
	:: d_step { buffer0??[USED_EVENT, _] -> buffer0??USED_EVENT, what -> mem[USED_EVENT] = what; what = 0 }
	:: d_step { buffer1??[USED_IDX, _] -> buffer1??USED_IDX, what -> mem[USED_IDX] = what; what = 0 }
	:: d_step { buffer1??[AVAIL_EVENT, _] -> buffer1??AVAIL_EVENT, what -> mem[AVAIL_EVENT] = what; what = 0 }
	od
}

proctype driver()
{
	byte next_avail, next_used, notified, pushed, reaped, wish, seen, n;
	bool valid, yes;

	do
	:: reaped == N -> break

	:: pushed < N && pushed - reaped < SIZE ->
		// vq_driver_push_burst(), vq_driver_publish()
		n = 1;
		if
		:: pushed + 1 < N && pushed + 1 - reaped < SIZE -> n = 2
		:: true
		fi;
		d_step { pushed = pushed + n; next_avail = (next_avail + n) & MASK; n = 0 }
		STORE(buffer0, AVAIL_IDX, next_avail);
		if
		:: mutant != NO_FENCE_DRIVER_PUBLISH -> FENCE(buffer0)
		:: else
		fi;
		// vq_driver_needs_kick()
		wish = mem[AVAIL_EVENT];
		decide(wish, next_avail, notified, valid, (mutant == LAST_ONLY_DRIVER), yes);
		if
		:: yes -> atomic { FENCE(buffer0); event[DEVICE] = true; yes = false }
		:: else
		fi

	:: pushed > reaped ->
		// vq_driver_reap_burst()
		d_step {
			n = (mem[USED_IDX] - next_used) & MASK;
			assert(n <= pushed - reaped);
			reaped = reaped + n;
			next_used = (next_used + n) & MASK
		}
		if
		:: n > 0 -> n = 0
		:: n == 0 ->
			// vq_driver_enable_callbacks(), then sleep
			if
			:: event_idx -> STORE(buffer0, USED_EVENT, next_used)
			:: else -> STORE(buffer0, USED_EVENT, 0)
			fi;
			if
			:: mutant != NO_FENCE_DRIVER_ENABLE -> FENCE(buffer0)
			:: else
			fi;
			if
			:: mutant != NO_RECHECK_DRIVER -> seen = mem[USED_IDX]
			:: else -> seen = next_used
			fi;
			if
			:: seen == next_used -> atomic { FENCE(buffer0) && event[DRIVER] -> event[DRIVER] = false }
			:: else
			fi;
			seen = 0;
			// vq_driver_disable_callbacks()
			if
			:: !event_idx -> STORE(buffer0, USED_EVENT, 1)
			:: else
			fi
		fi
	od
}

proctype device()
{
	byte next_avail, next_used, notified, popped, wish, seen, n;
	bool valid, yes;

	do
	:: true ->
		// vq_device_pop_burst(): some or all of what there is
		d_step {
			n = (mem[AVAIL_IDX] - next_avail) & MASK;
			assert(n <= SIZE)
		}
		if
		:: n == 2 -> n = 1
		:: true
		fi;
		if
		:: n > 0 ->
			d_step { next_avail = (next_avail + n) & MASK; next_used = (next_used + n) & MASK; n = 0 }
			STORE(buffer1, USED_IDX, next_used);
			if
			:: mutant != NO_FENCE_DEVICE_PUBLISH -> FENCE(buffer1)
			:: else
			fi;
			// vq_device_needs_notification()
			wish = mem[USED_EVENT];
			decide(wish, next_used, notified, valid, (mutant == LAST_ONLY_DEVICE), yes);
			if
			:: yes -> atomic { FENCE(buffer1); event[DRIVER] = true; yes = false }
			:: else
			fi
		:: n == 0 ->
			// vq_device_enable_notification(), then sleep
			if
			:: event_idx -> STORE(buffer1, AVAIL_EVENT, next_avail)
			:: else -> STORE(buffer1, AVAIL_EVENT, 0)
			fi;
			if
			:: mutant != NO_FENCE_DEVICE_ENABLE -> FENCE(buffer1)
			:: else
			fi;
			if
			:: mutant != NO_RECHECK_DEVICE -> seen = mem[AVAIL_IDX]
			:: else -> seen = next_avail
			fi;
			if
			:: seen == next_avail ->
				// Asleep for ever is right once the driver is done.
end_sleep:			atomic { FENCE(buffer1) && event[DEVICE] -> event[DEVICE] = false }
			:: else
			fi;
			seen = 0;
			// vq_device_disable_notification()
			if
			:: !event_idx -> STORE(buffer1, AVAIL_EVENT, 1)
			:: else
			fi
		fi
	od
}

init {
	atomic {
		c_code {
			now.event_idx = getenv("EVENT_IDX") ? atoi(getenv("EVENT_IDX")) : 0;
			now.mutant = getenv("MUTANT") ? atoi(getenv("MUTANT")) : 0;
		};
		run driver();
		run device()
	}
}
