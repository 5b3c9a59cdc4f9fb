//! What is drawn of a pixel, as the command line takes it.

use crate::models::networks::PixelValue;
use clap::ValueEnum;
use clap::builder::PossibleValue;

impl ValueEnum for PixelValue {
    fn value_variants<'a>() -> &'a [Self] {
        &PixelValue::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            PixelValue::Median => "the level up to which there is half of the probability",
            PixelValue::Mean => "the expected level; of a mixture the mean of its likeliest component",
            PixelValue::Mode => "the likeliest level, as the authors of the model draw it",
            PixelValue::Sample => {
                "a level drawn at random with its probability; it follows from the run's seed"
            }
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}
