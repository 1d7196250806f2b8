"""The ladder: from one recipe to another, a switch at a time, and every combination of the switches.

A switch is a key of a recipe. Rungs on frozen features are trained here, all of a net together; those that need the
whole net (`Recipe.whole_net`) are given, and left out where they were not run.

rungs.py      which recipes make up the ladder
measuring.py  what each rung and each combination of switches reaches
effects.py    what one switch adds, whatever the order of the switches
"""
