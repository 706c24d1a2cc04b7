//! Rotation proven over the pure functions of `domain::rotation` themselves: every interleaving in a small world
//! (`interleavings`), and five years of a large one in virtual time (`years`).

mod interleavings;
mod known;
mod rows;
mod world;
mod years;
