"""Heads: the new last layer, which is all that a recipe trains.

training.py    the training loop: heads of several recipes and seeds on one net, in step
optimisers.py  the steps of SGD and Adam
schedules.py   learning-rate schedules
sides.py       which images a recipe trains on, and which its selection looks at
resplit.py     heads trained again on other splits
halves.py      heads whose epoch is chosen on one half of the test images, and tested on the other
of_net.py      all that is trained on the features of one net, as work for several processes
sweep.py       heads of many recipes on one net's features, trained and scored in one go
replay.py      heads trained on a whole net that runs in every epoch, as the released script does
scoring.py     from features and heads to P(covid), a column a head
outliers.py    is an image unlike the training images?
gaussian.py    the Gaussian that they are described by
head_files.py  the file of trained heads
card.py        the model card that is written with it
prediction.py  a trained head on other images
"""
