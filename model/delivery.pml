/* The delivery contract (docs/PROTOCOL.md section 8): senders, a relay that crashes, a recipient that crashes, and a
 * network that loses, delays and repeats. Checked by `make model` with spin.
 *
 *   G1  an accepted message is on the relay's disk or on the recipient's, always
 *   G2  no message is shown twice (to show and to note it is one step here; docs/adr/0005 says what is between them)
 *
 * Three mistakes, with each of which the check must fail; that shows that it can:
 *
 *   -DREPLY_FIRST        the relay answers before it commits
 *   -DACKNOWLEDGE_FIRST  the recipient acknowledges before it stores
 *   -DNOTE_NOTHING       the recipient does not note what it has shown
 */

#ifndef MESSAGES
#define MESSAGES 2   /* from as many senders */
#endif
#ifndef CRASHES
#define CRASHES 2    /* of the relay, and as many of the recipient; a sender may crash at any time */
#endif

/* What is on disk. */
bit outbox[MESSAGES];      /* sender: not answered yet */
bit on_relay[MESSAGES];    /* relay: in the mailbox */
bit known[MESSAGES];       /* relay: was committed here once */
bit stored[MESSAGES];      /* recipient: in the database */
bit shown_noted[MESSAGES]; /* recipient: marked as shown */

/* What a crash takes. */
bit held[MESSAGES];        /* relay: pushed, and not committed yet */
bit delivered[MESSAGES];   /* relay: acknowledged before it was committed */
bit reply_due[MESSAGES];   /* relay */
bit commit_due[MESSAGES];  /* relay, with REPLY_FIRST */
bit ack_due[MESSAGES];     /* recipient */

/* What is on the network: anything there may arrive, arrive and stay, or vanish. */
bit sending[MESSAGES], accepting[MESSAGES], pushing[MESSAGES], acknowledging[MESSAGES];

/* What people see. */
bit accepted[MESSAGES];
byte shown[MESSAGES];

byte relay_crashes, recipient_crashes;
byte i;

#define arrives(flag) if :: flag = 0 :: skip fi   /* or a copy stays on its way */

inline relay_takes(m) {
  arrives(sending[m]);
  if
  :: known[m] || delivered[m] -> reply_due[m] = 1            /* answered as the first time */
  :: else ->
#ifdef REPLY_FIRST
     reply_due[m] = 1; commit_due[m] = 1
#else
     held[m] = 1
#endif
  fi
}

inline relay_hears_acknowledge(m) {
  arrives(acknowledging[m]);
  if
  :: held[m] -> held[m] = 0; delivered[m] = 1; reply_due[m] = 1  /* never written: the recipient has it */
  :: else -> on_relay[m] = 0
  fi
}

inline relay_crash() {
  relay_crashes++;
  for (i : 0 .. MESSAGES - 1) {
    held[i] = 0; delivered[i] = 0; reply_due[i] = 0; commit_due[i] = 0;
    sending[i] = 0; accepting[i] = 0; pushing[i] = 0; acknowledging[i] = 0   /* its links end with it */
  }
}

inline recipient_crash() {
  recipient_crashes++;
  for (i : 0 .. MESSAGES - 1) { ack_due[i] = 0; pushing[i] = 0; acknowledging[i] = 0 }
}

proctype Life(byte m) {
  do
  /* the sender, over and over until it is answered */
  :: atomic { outbox[m] && !sending[m] -> sending[m] = 1 }
  :: atomic { accepting[m] -> arrives(accepting[m]); outbox[m] = 0; accepted[m] = 1 }
  /* it crashes, as often as it likes: the outbox stays, what is on its link does not */
  :: atomic { sending[m] || accepting[m] -> sending[m] = 0; accepting[m] = 0 }
  /* the relay */
  :: atomic { sending[m] -> relay_takes(m) }
  :: atomic { held[m] -> held[m] = 0; on_relay[m] = 1; known[m] = 1; reply_due[m] = 1 }
  :: atomic { commit_due[m] -> commit_due[m] = 0; on_relay[m] = 1; known[m] = 1 }
  :: atomic { reply_due[m] -> reply_due[m] = 0; accepting[m] = 1 }
  :: atomic { (held[m] || on_relay[m]) && !pushing[m] -> pushing[m] = 1 }
  :: atomic { acknowledging[m] -> relay_hears_acknowledge(m) }
  /* the recipient: store, show, note, acknowledge */
  :: atomic { pushing[m] && stored[m] && shown_noted[m] -> arrives(pushing[m]); ack_due[m] = 1 }
  :: atomic { pushing[m] && !stored[m] -> arrives(pushing[m]); stored[m] = 1 }
#ifdef ACKNOWLEDGE_FIRST
  :: atomic { pushing[m] && !stored[m] -> arrives(pushing[m]); ack_due[m] = 1 }
#endif
#ifdef NOTE_NOTHING
  :: atomic { stored[m] && shown[m] < 2 -> shown[m]++; ack_due[m] = 1 }
#else
  :: atomic { stored[m] && !shown_noted[m] -> shown[m]++; shown_noted[m] = 1; ack_due[m] = 1 }
#endif
  :: atomic { ack_due[m] -> ack_due[m] = 0; acknowledging[m] = 1 }
  /* the network */
  :: atomic { sending[m] -> sending[m] = 0 }
  :: atomic { accepting[m] -> accepting[m] = 0 }
  :: atomic { pushing[m] -> pushing[m] = 0 }
  :: atomic { acknowledging[m] -> acknowledging[m] = 0 }
  od
}

proctype Crashes() {
  do
  :: atomic { relay_crashes < CRASHES -> relay_crash() }
  :: atomic { recipient_crashes < CRASHES -> recipient_crash() }
  :: relay_crashes == CRASHES && recipient_crashes == CRASHES -> break
  od
}

/* Looks at every state that can be reached. */
#define safe(m) ((!accepted[m] || on_relay[m] || stored[m]) && shown[m] <= 1)
#if MESSAGES == 2
ltl contract { [] (safe(0) && safe(1)) }
#else
ltl contract { [] (safe(0) && safe(1) && safe(2)) }
#endif

init {
  atomic {
    for (i : 0 .. MESSAGES - 1) { outbox[i] = 1; run Life(i) }
    run Crashes()
  }
}
