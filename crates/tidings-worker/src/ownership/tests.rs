mod fleet;
mod moves;
mod properties;
mod rules;
mod worker;
