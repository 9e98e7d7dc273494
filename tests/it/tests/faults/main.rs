//! What is killed, and what it must not cost.

mod crash_points;
mod killing;
mod poison;
