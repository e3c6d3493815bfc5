// SPDX-License-Identifier: BSD-2-Clause
// Survives a VMM that takes back the memory that it shares with us.
//
// A file that was long enough when it was mapped can be cut short at any time, by whoever else has
// it, and huge pages can run out: whoever touches what is gone then gets SIGBUS, which would end the
// daemon and with it the network of every other guest. Here memory is watched instead: a fault in it
// puts empty memory of our own in its place, and is remembered until somebody asks.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Installs the handler, if it is not there. Threads that touch watched memory must not block
// SIGBUS. Any thread.
void vhost_fault_init(void);

// Watches [base, base + size), a whole mapping, for `owner`. Before it is unmapped comes
// vhost_fault_forget(). Any thread but a worker.
void vhost_fault_watch(const void *owner, void *base, uint64_t size);
// Forgets all that is watched for owner, and its faults.
void vhost_fault_forget(const void *owner);
// Whether memory of owner has gone.
bool vhost_fault_seen(const void *owner);

// The calling thread also touches memory that nobody watches yet: each page of it is replaced where
// a fault shows that it has gone.
void vhost_fault_tolerate(void);
