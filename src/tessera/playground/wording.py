"""Every sentence the playground asks, several wordings for each kind of question.

The words are few, short and in lower case: the scale model's tokenizer has only 768 tokens.
"""

from __future__ import annotations

WORDINGS: dict[str, tuple[str, ...]] = {
    "color": (
        "what color is the {a}?",
        "which color is the {a}?",
        "tell me the color of the {a}.",
        "the {a} has which color?",
    ),
    "shape": (
        "what shape is the {a}?",
        "which shape is the {a}?",
        "tell me the shape of the {a}.",
        "the {a} has which shape?",
    ),
    "size": (
        "is the {a} big or small?",
        "how big is the {a}, big or small?",
        "tell me the size of the {a}.",
        "what size is the {a}?",
    ),
    "count": (
        "how many {a} are there?",
        "count the {a}.",
        "how many {a} can you see?",
        "tell me the number of {a}.",
    ),
    "left_right": (
        "is the {a} left or right of the {b}?",
        "on which side of the {b} is the {a}, left or right?",
        "left or right: where is the {a} seen from the {b}?",
    ),
    "above_below": (
        "is the {a} above or below the {b}?",
        "above or below the {b}: where is the {a}?",
        "is the {a} higher up or lower down than the {b}, above or below?",
    ),
    "where": (
        "where in the picture is the {a}?",
        "in which part of the picture is the {a}?",
        "which place has the {a}?",
        "where do you see the {a}?",
    ),
    "bigger": (
        "which is bigger, the {a} or the {b}?",
        "which one is bigger: the {a} or the {b}?",
        "the {a} or the {b}: which is bigger?",
    ),
    "smaller": (
        "which is smaller, the {a} or the {b}?",
        "which one is smaller: the {a} or the {b}?",
        "the {a} or the {b}: which is smaller?",
    ),
    "box": (
        "where is the {a}? give its box.",
        "give the box of the {a}.",
        "find the {a} and give its box.",
        "show me the {a} with a box.",
    ),
    "sum": (
        "how many {a} and {b} are there together?",
        "count the {a} and the {b}. how many together?",
        "how many {a} plus {b} are there?",
        "add the number of {a} and the number of {b}.",
    ),
    "difference": (
        "how many more {a} than {b} are there?",
        "take the number of {b} from the number of {a}.",
        "how many {a} minus {b} are there?",
    ),
    "word": ("what word is it?", "read the word.", "which word do you see?", "what does it say?"),
    "number": ("what number is it?", "read the number.", "which number do you see?", "tell me the number."),
    "first_letter": (
        "what is the first letter?",
        "which letter comes first?",
        "tell me the first letter.",
        "the word starts with which letter?",
    ),
    "last_letter": (
        "what is the last letter?",
        "which letter comes last?",
        "tell me the last letter.",
        "the word ends with which letter?",
    ),
    "spell": (
        "spell the word.",
        "how is the word spelled?",
        "tell me the letters one by one.",
        "read it letter by letter.",
    ),
    "letters": ("how many letters are there?", "count the letters.", "how many letters has the word?"),
    "digits": ("how many digits are there?", "count the digits.", "how many digits has the number?"),
    "first_digit": ("what is the first digit?", "which digit comes first?", "tell me the first digit."),
    "last_digit": ("what is the last digit?", "which digit comes last?", "tell me the last digit."),
    "spell_digits": ("read it digit by digit.", "tell me the digits one by one.", "which digits do you see?"),
    "has_letter": (
        "is there a letter {a}?",
        "do you see the letter {a}?",
        "does the word have a letter {a}?",
    ),
    "has_digit": ("is there a digit {a}?", "do you see the digit {a}?", "does the number have a digit {a}?"),
    "over": ("is the number bigger than {a}?", "is it more than {a}?", "do you see a number over {a}?"),
    "top_line": (
        "what number is on the top line?",
        "read the number at the top.",
        "which number does the top line show?",
    ),
    "bottom_line": (
        "what number is on the bottom line?",
        "read the number at the bottom.",
        "which number does the bottom line show?",
    ),
    "first_word": ("what is the first word?", "read the first word.", "which word comes first?"),
    "second_word": ("what is the second word?", "read the second word.", "which word comes second?"),
    "add": (
        "add the two numbers.",
        "what is the sum of the numbers?",
        "how much is it together?",
        "what do the two numbers make?",
    ),
    "sum_over": (
        "is the sum bigger than {a}?",
        "do the two numbers make more than {a}?",
        "add the numbers. is it over {a}?",
    ),
    "both_words": ("read the words.", "what does it say?", "which words do you see?"),
    "first_word_letters": (
        "how many letters has the first word?",
        "count the letters of the first word.",
        "the first word has how many letters?",
    ),
    "spell_first": (
        "spell the first word.",
        "tell me the letters of the first word.",
        "read the first word letter by letter.",
    ),
    "spell_second": (
        "spell the second word.",
        "tell me the letters of the second word.",
        "read the second word letter by letter.",
    ),
    "has_letter_any": (
        "is there a letter {a}?",
        "do you see the letter {a}?",
        "does a word have a letter {a}?",
    ),
    "larger_number": ("which number is larger?", "read the larger number.", "what is the larger number?"),
    "highest": (
        "which bar is the highest?",
        "what color is the highest bar?",
        "tell me the color of the top bar.",
    ),
    "lowest": (
        "which bar is the lowest?",
        "what color is the lowest bar?",
        "tell me the color of the shortest bar.",
    ),
    "value": (
        "how high is the {a} bar?",
        "what is the value of the {a} bar?",
        "read the {a} bar.",
        "which value has the {a} bar?",
    ),
    "bar_color": (
        "which bar has the value {a}?",
        "what color is the bar of value {a}?",
        "find the bar of value {a}.",
    ),
    "is_higher": (
        "is the {a} bar higher than the {b} bar?",
        "is {a} higher than {b}?",
        "does the {a} bar beat the {b} bar?",
    ),
    "which_higher": (
        "which is higher, the {a} bar or the {b} bar?",
        "which bar is higher: {a} or {b}?",
        "the {a} bar or the {b} bar: which is higher?",
    ),
    "bars": ("how many bars are there?", "count the bars.", "how many bars do you see?"),
    "nth_bar": (
        "what color is bar {a} from the left?",
        "counting from the left, which color is bar {a}?",
        "tell me the color of bar {a} from the left.",
    ),
    "bar_sum": (
        "add the {a} bar and the {b} bar.",
        "how much are the {a} bar and the {b} bar together?",
        "what is the sum of {a} and {b}?",
    ),
    "bar_difference": (
        "how much higher is the {a} bar than the {b} bar?",
        "what is {a} minus {b}?",
        "take the {b} bar from the {a} bar.",
    ),
    "more_in": (
        "which picture has more {a}?",
        "in which picture are more {a}?",
        "where are more {a}, 1 or 2?",
    ),
    "fewer_in": (
        "which picture has fewer {a}?",
        "in which picture are fewer {a}?",
        "where are fewer {a}, 1 or 2?",
    ),
    "same_color": (
        "has the {a} the same color in both pictures?",
        "is the color of the {a} the same in both?",
        "do both pictures show the {a} in one color?",
    ),
    "same_count": (
        "are there as many {a} in picture 1 as in picture 2?",
        "is the number of {a} the same in both pictures?",
        "do both pictures have equally many {a}?",
    ),
    "color_in": (
        "what color is the {a} in picture {b}?",
        "which color has the {a} in picture {b}?",
        "in picture {b}, what color is the {a}?",
    ),
    "count_in": (
        "how many {a} are in picture {b}?",
        "count the {a} in picture {b}.",
        "in picture {b}, how many {a} are there?",
    ),
    "sum_both": (
        "how many {a} are in both pictures together?",
        "count the {a} of both pictures together.",
        "add the {a} of picture 1 and picture 2.",
    ),
    "more_by": (
        "how many more {a} has picture {b}?",
        "picture {b} has how many more {a}?",
        "by how many {a} does picture {b} win?",
    ),
    "direction": (
        "which way does the {a} move?",
        "in which direction does the {a} go?",
        "where does the {a} move to?",
        "left, right, up or down: where does the {a} go?",
    ),
    "moves_to": ("does the {a} move {b}?", "is the {a} going {b}?", "is it true that the {a} moves {b}?"),
    "moving_color": (
        "what color is the thing that moves?",
        "which color moves?",
        "tell me the color of the moving thing.",
    ),
    "moving_shape": (
        "what shape is the thing that moves?",
        "which shape moves?",
        "tell me the shape of the moving thing.",
    ),
    "still_color": (
        "what color is the thing that stays?",
        "which color stays still?",
        "tell me the color of the thing that does not move.",
    ),
    "does_move": ("does the {a} move?", "is the {a} moving?", "does the {a} change its place?"),
    "first_color": (
        "which color came first?",
        "what color was there first?",
        "the first thing has which color?",
    ),
    "last_color": ("which color came last?", "what color was there last?", "the last thing has which color?"),
    "first_shape": (
        "which shape came first?",
        "what shape was there first?",
        "the first thing has which shape?",
    ),
    "last_shape": ("which shape came last?", "what shape was there last?", "the last thing has which shape?"),
    "after": (
        "which color came just after {a}?",
        "what color came next after {a}?",
        "after {a}, which color came?",
    ),
    "before": (
        "did {a} come before {b}?",
        "was {a} there before {b}?",
        "is it true that {a} came before {b}?",
    ),
    "order": (
        "in which order did the colors come?",
        "name the colors in order.",
        "tell me the colors from first to last.",
    ),
    "frames": ("how many frames are there?", "count the frames.", "how long is the clip in frames?"),
    "things_at_end": (
        "how many things are there at the end?",
        "count the things in the last frame.",
        "how many things does the last frame show?",
    ),
}
