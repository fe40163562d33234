// Package dlq lists dead letters and decides on them: redriven, they are handled again by the consumer that could not;
// discarded, they are left as they are.
//
// A dead letter lies in <topic>.<consumer>.dlq and is identified by where its record was: consumer, topic, partition,
// offset. Redriving writes it to <consumer>.retry, same partition number, with those coordinates; only that consumer
// reads there, so no other one and no watcher notices. What an order's news is, is in its letters together: all open
// letters of an order and a consumer are redriven, in the order in which their records were. A letter whose value was too
// large to be in it cannot be: it is refused, and the others go without it.
//
// # What is remembered, and where
//
// A decision is a record of its own in the dead-letter topic, in the partition of the letter and behind it: a mark. It
// names the letter, the offset up to which it settles it, what was decided, when and why. So
//
//   - a letter is open while no mark lies behind it; one that fails again after a redrive is written behind the mark, and
//     is open again;
//   - marks need no topic, retention or rights of their own, and are read in the same pass;
//   - topics are kept by time, and a mark is younger than its letter: it cannot be forgotten first;
//   - nothing is deleted: deleting records works only from the log's start up to an offset, which takes undecided
//     letters along, and takes the evidence.
//
// A compacted topic of decisions was the other choice. It would be one more topic to create, keep and give rights on, its
// marks would outlive their letters for ever, and it is in no order with the letters: whether a letter is older or newer
// than a decision about it could not be told.
//
// A redrive writes to the retry topic first and the mark after that. A crash between the two leaves the letter open,
// and it is redriven again: the consumer's guard by sequence drops what it has taken, so that twice does what once does.
package dlq
