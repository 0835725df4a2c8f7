"""Made scenes: people cut out of annotated pictures, walked over real backgrounds with noise, light and time."""
