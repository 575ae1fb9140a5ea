/* test_facts_values.c: amounts, percentages, periods, dates and quantities in sentences: one sentence, the facts it
 * must give. */
#include "tests/unit/facts_render.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

struct facts_case {
    const char *text, *facts; /* facts as render_fact writes them */
};

static const struct facts_case money[] = {
    {"The monthly rent is $5,000.", "AMOUNT 5000 USD | monthly rent\n"},
    {"The Buyer shall pay USD 1,250,000 on signing.", "AMOUNT 1250000 USD | Buyer shall pay\n"},
    {"The fee is US$ 1.2bn.", "AMOUNT 1200000000 USD | fee\n"},
    {"The grant amounts to €45m.", "AMOUNT 45000000 EUR | grant amounts\n"},
    {"He paid 5,000 euros.", "AMOUNT 5000 EUR | He paid\n"},
    {"The price is one million two hundred fifty thousand dollars ($1,250,000).", "AMOUNT 1250000 USD | price\n"},
    {"The price is one million two hundred fifty thousand dollars ($1,520,000).",
     "AMOUNT 1250000..1520000 USD DIFFER | price\n"},
    {"The sum of Five Hundred Thousand and No/100 Dollars ($500,000.00) is due.", "AMOUNT 500000 USD | sum\n"},
    {"A charge of 50 cents per page applies.", "AMOUNT 0.5 USD | charge -> per page\n"},
    {"The deposit ranges from $5 to $7 million.", "AMOUNT 5000000..7000000 USD | deposit ranges\n"},
    {"The award is between USD 10,000 and USD 20,000.", "AMOUNT 10000..20000 USD | award\n"},
    {"Liability shall not exceed EUR 1 million in the aggregate.", "AMOUNT <=1000000 EUR | Liability\n"},
    {"Liability is limited to £250,000.", "AMOUNT <=250000 GBP | Liability\n"},
    {"The licence costs CHF 12,500 each year.", "AMOUNT 12500 CHF | licence costs -> each year\n"},
    {"A fee of at least Rs. 5,000 is payable.", "AMOUNT >=5000 INR | fee\n"},
    {"The retention is $500 per month.", "AMOUNT 500 USD | retention -> per month\n"},
    {"Overtime is paid at $25.50 an hour.", "AMOUNT 25.5 USD | Overtime is paid -> an hour\n"},
    {"The Buyer shall pay a deposit in the amount of $10,000.", "AMOUNT 10000 USD | deposit\n"},
    {"A $500 deposit is required.", "AMOUNT 500 USD | deposit\n"},
    {"The budget is USD 4.8 million.", "AMOUNT 4800000 USD | budget\n"},
    {"The commitment is ninety million euros.", "AMOUNT 90000000 EUR | commitment\n"},
    {"The consultancy fee is capped at USD 650 a day.", "AMOUNT <=650 USD | consultancy fee -> a day\n"},
    {"The penalty may not exceed ten thousand dollars ($10,000) per day.", "AMOUNT <=10000 USD | penalty -> per day\n"},
    {"The Company shall pay C$5,000 and A$6,000.", "AMOUNT 5000 CAD | Company shall pay\n"
                                                   "AMOUNT 6000 AUD | Company shall pay\n"},
    {"The loan is $55,200,000, of which $5,000,000 is a revolving loan.", "AMOUNT 55200000 USD | loan\n"
                                                                          "AMOUNT 5000000 USD | loan\n"},
    {"The credit is up to JPY 3,000,000.", "AMOUNT <=3000000 JPY | credit\n"},
    {"The excess is more than $100.", "AMOUNT >100 USD | excess\n"},
    {"The price is 12 million pounds sterling.", "AMOUNT 12000000 GBP | price\n"},
    {"The Tenant shall pay an additional $1,000.", "AMOUNT 1000 USD | pay an additional\n"},
    {"Supplier shall maintain insurance of not less than $2,000,000 per occurrence and $5,000,000 in the aggregate.",
     "AMOUNT >=2000000 USD | insurance -> per occurrence\n"
     "AMOUNT 5000000 USD | insurance\n"},
};

static const struct facts_case percentages[] = {
    {"The commission is twenty percent (20%) of the Net Sales.", "PERCENT 20 % | commission -> Net Sales\n"},
    {"The commission is twenty percent (25%) of the Net Sales.", "PERCENT 20..25 % DIFFER | commission -> Net Sales\n"},
    {"Interest accrues at 12.5 % per annum.", "PERCENT 12.5 % | Interest accrues -> per annum\n"},
    {"The limitation shall be 50 per centum of the gross wages.", "PERCENT 50 % | limitation -> gross wages\n"},
    {"The margin is 75 basis points.", "PERCENT 0.75 % | margin\n"},
    {"A late charge of one and one-half percent (1.5%) per month is due.",
     "PERCENT 1.5 % | late charge -> per month\n"},
    {"The fee is one-half of one percent of the Commitment.", "PERCENT 0.5 % | fee -> Commitment\n"},
    {"The creditor may reach no more than one quarter of the debtor's gross wages.",
     "PERCENT <=25 % | creditor may reach -> debtor's gross wages\n"},
    {"A majority of two-thirds of the members is needed.", "PERCENT 66.66666667 % | majority -> members is needed\n"},
    {"The discount is 5 to 7 percent.", "PERCENT 5..7 % | discount\n"},
    {"Between 10% and 15% of the units fail.", "PERCENT 10..15 % -> units fail\n"},
    {"The margin is one and three-eighths percent.", "PERCENT 1.375 % | margin\n"},
    {"The unused commitment fee is 0.375%.", "PERCENT 0.375 % | unused commitment fee\n"},
    {"The rate is 1/2 of 1%.", "PERCENT 0.5 % | rate\n"},
    {"At least 60 per cent of the votes must be cast.", "PERCENT >=60 % -> votes\n"},
    {"The tax rate rose by 2 percentage points.", "PERCENT 2 % | tax rate rose\n"},
    {"The Contractor holds a 25% interest in the venture.", "PERCENT 25 % | interest -> holds a\n"},
};

static const struct facts_case periods[] = {
    {"Payment is due within thirty (30) days after receipt of the invoice.",
     "PERIOD <=30 day | Payment is due -> after receipt of the invoice\n"},
    {"Payment is due within thirty (60) days after receipt of the invoice.",
     "PERIOD <=30..60 day DIFFER | Payment is due -> after receipt of the invoice\n"},
    {"Either party may terminate this Agreement upon 60 days' prior written notice.",
     "PERIOD 60 day | prior written notice -> terminate this Agreement\n"},
    {"Notice of not less than 90 days is required.", "PERIOD >=90 day | Notice\n"},
    {"The warranty period is twenty-four (24) months from the date of delivery.",
     "PERIOD 24 month | warranty period -> from the date of delivery\n"},
    {"The term of this Agreement is five (5) years.", "PERIOD 5 year | term of this Agreement\n"},
    {"The Supplier shall deliver within five (5) business days.", "PERIOD <=5 day BUS | Supplier shall deliver\n"},
    {"The lease has a 12-month term.", "PERIOD 12 month | term -> has a\n"},
    {"Records shall be kept for at least seven years.", "PERIOD >=7 year | Records shall be kept\n"},
    {"The help desk answers in a 24-hour period.", "PERIOD 24 hour | period\n"},
    {"The delivery takes 5 to 7 business days.", "PERIOD 5..7 day BUS | delivery takes\n"},
    {"It lasts one and one-half years.", "PERIOD 1.5 year | It lasts\n"},
    {"The concession runs for nine years.", "PERIOD 9 year | concession runs\n"},
    {"The Supplier shall respond within two hours.", "PERIOD <=2 hour | Supplier shall respond\n"},
    {"Claims must be filed within a year of the loss.", "PERIOD <=1 year | Claims must be filed -> of the loss\n"},
    {"The cure period shall be ten (10) Banking Days.", "PERIOD 10 day BUS | cure period\n"},
    {"Cancellation requires two weeks' notice.", "PERIOD 2 week | notice\n"},
    {"The meeting takes place no later than fourteen days before the closing.",
     "PERIOD <=14 day | meeting takes place -> before the closing\n"},
    {"Employees receive four weeks of paid vacation.", "PERIOD 4 week | Employees receive -> of paid vacation\n"},
    {"The option may be exercised for a period of 180 consecutive days.", "PERIOD 180 day | option may be exercised\n"},
    {"Storage is free for the first 10 working days.", "PERIOD 10 day BUS | Storage is free for the first\n"},
    {"The report is due 45 days after the end of each fiscal quarter.",
     "PERIOD 45 day | report is due -> after the end of each fiscal quarter\n"},
    {"A User must be at least 18 years of age.", "NUMBER >=18 year of age | User\n"},
};

static const struct facts_case dates[] = {
    {"The Agreement is dated January 1, 2015.", "DATE 2015-01-01 | Agreement is dated\n"},
    {"The Agreement is made this 1st day of March, 2021.", "DATE 2021-03-01 | Agreement is made\n"},
    {"It was signed on the 16th day of September, 2004.", "DATE 2004-09-16 | It was signed\n"},
    {"The term begins on 1 March 2024 and ends on 28 February 2027.",
     "DATE 2024-03-01 | term begins\n"
     "DATE 2027-02-28 | term begins on 1 March 2024 and ends\n"},
    {"The term ends on 2015-01-01.", "DATE 2015-01-01 | term ends\n"},
    {"It was due on 31/12/2020.", "DATE 2020-12-31 | It was due\n"},
    {"It was due on 12/31/2020.", "DATE 2020-12-31 | It was due\n"},
    {"It was due on 03/04/2020.", "DATE 2020-00-00 (3) | It was due\n"},
    {"It was due on 31.12.2020.", "DATE 2020-12-31 | It was due\n"},
    {"Sales rose in the first quarter of 2021.", "DATE 2021-00-00 (1) quarter | Sales rose in\n"},
    {"The plan is reviewed in Q3 2022.", "DATE 2022-00-00 (3) quarter | plan is reviewed in\n"},
    {"Delivery is on or before June 30, 2022.", "DATE <=2022-06-30 | Delivery\n"},
    {"The invoice is payable on the 15th day of each month.", "DATE 0000-00-15 | invoice is payable\n"},
    {"It ends by the end of June 2006.", "DATE 2006-06-00 | end\n"},
    {"The meeting was held on the first day of May 2020.", "DATE 2020-05-01 | meeting was held\n"},
    {"The statement covers fiscal year 2008.", "DATE 2008-00-00 fiscal year | statement covers\n"},
    {"Interest is paid each January 1 and July 1.", "DATE 0000-01-01 | Interest is paid\n"
                                                    "DATE 0000-07-01 | Interest is paid\n"},
    {"Delivery must take place not later than 5 May 2023.", "DATE <=2023-05-05 | take place\n"},
    {"The law of 1986 applies.", "DATE 1986-00-00 | law\n"},
};

static const struct facts_case quantities[] = {
    {"Tighten the bolts to 25 Nm.", "NUMBER 25 Nm | Tighten the bolts\n"},
    {"The operating temperature is between -10 and 40 °C.", "NUMBER -10..40 °C | operating temperature\n"},
    {"The maximum pressure is 3 bar.", "NUMBER <=3 bar | maximum pressure\n"},
    {"The motor draws 2.5 A at 230 V.", "NUMBER 2.5 A | motor draws\n"
                                        "NUMBER 230 V | motor draws 2.5 A\n"},
    {"The cable is 1.5 mm thick.", "NUMBER 1.5 mm | cable\n"},
    {"The pump delivers 12 l/min.", "NUMBER 12 l/min | pump delivers\n"},
    {"Do not exceed 80 kg.", "NUMBER <=80 kg\n"},
    {"Service the unit after 500 hours of operation.", "PERIOD 500 hour | Service the unit -> of operation\n"},
    {"The printer holds 250 sheets.", "NUMBER 250 sheet | printer holds\n"},
    {"The Supplier shall provide three (3) copies of the manual.",
     "NUMBER 3 copy | Supplier shall provide -> manual\n"},
    {"The Licensee may install the Software on up to five (5) devices.", "NUMBER <=5 device | install the Software\n"},
    {"The board consists of seven directors.", "NUMBER 7 director | board\n"},
    {"The building has 12,000 square feet of space.", "NUMBER 12000 ft² | building has -> space\n"},
    {"The ambient humidity is at most 85 %.", "PERCENT <=85 % | ambient humidity\n"},
    {"The minimum order quantity is 4 Pumps.", "NUMBER >=4 | Pumps -> minimum order quantity is\n"},
    {"The quorum is five members.", "NUMBER 5 member | quorum\n"},
    {"The hall seats not more than 300 people.", "NUMBER <=300 person | hall seats\n"},
    {"You may maintain no more than one free account.", "NUMBER <=1 | free account\n"},
    {"The flow rate is ≥ 20 l/min.", "NUMBER >=20 l/min | flow rate\n"},
    {"The shaft diameter is 20 ± 0.5 mm.", "NUMBER 20 mm | shaft diameter\n"},
};

static const struct facts_case no_values[] = {
    {"The company filed its Form 10-K.", ""},
    {"Employees may join the 401(k) plan.", ""},
    {"The claim falls under Section 365 of the Bankruptcy Code.", ""},
    {"Support is available 24/7.", ""},
    {"Call (212) 555-1234 for help.", ""},
    {"Call +1 212-555-1234 for help.", ""},
    {"This is one of the parties.", ""},
    {"The second notice was late.", ""},
    {"The parties met in May 2020.", "DATE 2020-05-00 | parties met in\n"},
    {"The office is at 500 Fifth Avenue, New York, NY 10017.", ""},
    {"The hull is No. S188.", ""},
    {"See page 12 of the manual.", ""},
    {"Clause 7 applies to Vessel 1 and Tranche 2.", ""},
    {"The rule is 17 CFR 240.10b-5.", ""},
    {"The meeting is at 10:00 a.m. in Room 12.", "NUMBER 10 time of day | meeting\n"},
    {"Version 2.1 of the software replaces version 2.0.", ""},
    {"It was the company's third attempt.", ""},
    {"Two-factor authentication is needed.", ""},
    {"Rule 144 and Title 46 apply.", ""},
    {"On the one hand and on the other hand.", ""},
};

static const struct facts_case mixed[] = {
    {"The Purchase Price is USD $2,500,000 payable in four equal instalments.",
     "AMOUNT 2500000 USD | Purchase Price\n"
     "NUMBER 4 installment | Purchase Price is USD $2,500,000 payable in\n"},
    {"Rent increases by 3% on each anniversary of the Commencement Date.", "PERCENT 3 % | Rent increases\n"},
    {"The Deposit (EUR 10,000) is refundable.", "AMOUNT 10000 EUR | Deposit\n"},
    {"A penalty of £50 applies for each day of delay, up to a maximum of £1,000.",
     "AMOUNT 50 GBP | penalty\n"
     "AMOUNT <=1000 GBP | penalty of £50 applies for each day of delay\n"},
    {"The Contractor shall be paid $85.00/hour.", "AMOUNT 85 USD | Contractor shall be paid -> /hour\n"},
    {"The parties have agreed on a fixed price of 1.5 million dollars.", "AMOUNT 1500000 USD | fixed price\n"},
    {"Total consideration shall not exceed Ten Thousand Dollars.", "AMOUNT <=10000 USD | Total consideration\n"
                                                                   "TOTAL <=10000 USD | Total consideration\n"},
    {"Subscription fee: $99 per user per month.", "AMOUNT 99 USD | Subscription fee -> per user\n"},
    {"The insured sum is EUR 5m per claim and EUR 10m in aggregate per year.",
     "AMOUNT 5000000 EUR | insured sum -> per claim\n"
     "AMOUNT 10000000 EUR | insured sum\n"},
    {"The Fund charges a fee equal to 1.25% of net assets annually.", "PERCENT 1.25 % | fee -> net assets annually\n"
                                                                      "NUMBER 1 time/year | Fund charges a fee\n"},
    {"The ratio of debt to EBITDA shall not exceed 3.50 to 1.00.", "NUMBER <=3.5 | ratio of debt to EBITDA\n"},
    {"The borrower must maintain a minimum cash balance of at least $500,000.",
     "AMOUNT >=500000 USD | minimum cash balance\n"},
    {"If the price exceeds $1 million, approval is needed.", "AMOUNT >1000000 USD COND | price\n"},
    {"The employee receives 25 days of annual leave and 10 public holidays.",
     "PERIOD 25 day | employee receives -> of annual leave\n"
     "NUMBER 10 | public holidays -> receives 25 days of annual leave\n"},
    {"Notice must be given not later than three months before the end of the term.",
     "PERIOD <=3 month | Notice must be given -> before the end of the term\n"},
    {"The lease commences on the Commencement Date and continues for a term of ten (10) years.",
     "PERIOD 10 year | lease commences on the Commencement Date and continues\n"},
    {"The agreement renews automatically for successive one-year terms.",
     "PERIOD 1 year | agreement renews automatically for successive\n"},
    {"Probation lasts six months, during which either party may give one week's notice.",
     "PERIOD 6 month | Probation lasts\n"
     "PERIOD 1 week | notice\n"},
    {"The claim must be notified within 14 calendar days of discovery.",
     "PERIOD <=14 day | claim must be notified -> of discovery\n"},
    {"Interest is payable semi-annually in arrears on 30 June and 31 December.",
     "DATE 0000-06-30 | Interest is payable semi-annually in arrears\n"
     "DATE 0000-12-31 | Interest is payable semi-annually in arrears\n"},
    {"The maturity date is the fifth anniversary of the Closing Date.", ""},
    {"The facility was signed on 5th October 2018.", "DATE 2018-10-05 | facility was signed\n"},
    {"The Effective Date is 15.03.2021.", "DATE 2021-03-15 | Effective Date\n"},
    {"This policy was last updated on Dec. 12, 2019.", "DATE 2019-12-12 | This policy was last updated\n"},
    {"Applications close on 31 May.", "DATE 0000-05-31 | Applications close\n"},
    {"The financial year ends on March 31.", "DATE 0000-03-31 | financial year ends\n"},
    {"The offer is open until 5:00 p.m. on Friday, 3 July 2020.", "NUMBER 17 time of day\n"
                                                                  "DATE 2020-07-03 | 5:00 p.m. on Friday\n"},
    {"The device must be stored at a temperature between 5 °C and 30 °C.",
     "NUMBER 5..30 °C | device must be stored at a temperature\n"},
    {"Relative humidity must not exceed 80 %.", "PERCENT <=80 % | Relative humidity\n"},
    {"The maximum load is 250 kg.", "NUMBER <=250 kg | maximum load\n"},
    {"The fuse is rated at 16 A.", "NUMBER 16 A | fuse is rated\n"},
    {"The tank holds 60 litres of fuel.", "NUMBER 60 l | tank holds -> fuel\n"},
    {"Replace the oil filter every 10,000 km or once a year, whichever comes first.",
     "NUMBER 10000 km | Replace the oil filter\n"
     "NUMBER 1 time/year | Replace the oil filter every 10,000 km\n"},
    {"The warranty covers 100,000 miles or five years.", "NUMBER 100000 mi | warranty covers\n"
                                                         "PERIOD 5 year | warranty covers 100,000 miles\n"},
    {"At least two directors must be present.", "NUMBER >=2 director\n"},
    {"The Board shall consist of not fewer than three and not more than nine members.", "NUMBER >=3 | Board\n"
                                                                                        "NUMBER <=9 member | Board\n"},
    {"The Customer may create up to 50 user accounts.", "NUMBER <=50 | user accounts\n"},
    {"Each party appoints one arbitrator.", ""},
    {"The Supplier guarantees an availability of 99.9% per calendar month.",
     "PERCENT 99.9 % | availability -> per calendar month\n"},
    {"The Tenant pays two thirds of the costs.", "PERCENT 66.66666667 % | Tenant pays -> costs\n"},
    {"The shares vest in three equal tranches.", "NUMBER 3 | equal tranches -> vest in\n"},
    {"A quorum is one-third of the members.", "PERCENT 33.33333333 % | quorum -> members\n"},
    {"The limit is one hundred and fifty thousand euros (EUR 150,000).", "AMOUNT 150000 EUR | limit\n"},
    {"The Seller will deliver 1,000 tonnes of steel no later than 1 April 2022.",
     "NUMBER 1000 t | Seller will deliver -> steel no later than 1 April 2022\n"
     "DATE <=2022-04-01 | deliver 1,000 tonnes of steel\n"},
    {"The Buyer shall pay 30% upon signing and 70% upon delivery.", "PERCENT 30 % | Buyer shall pay\n"
                                                                    "PERCENT 70 % | Buyer shall pay\n"},
    {"The discount rate was cut from 5% to 4.5%.", "PERCENT 5 % | discount rate was cut\n"
                                                   "PERCENT 4.5 % | discount rate was cut from 5\n"},
};

static const struct facts_case frequencies[] = {
    {"The filters are replaced every 6 weeks.", "NUMBER 8.69047619 time/year | filters are replaced\n"},
    {"Points are lubricated four times a year.", "NUMBER 4 time/year | Points are lubricated\n"},
    {"The committee meets twice a month.", "NUMBER 24 time/year | committee meets\n"},
    {"The Supplier shall report quarterly.", "NUMBER 4 time/year | Supplier shall report\n"},
    {"The Borrower shall pay interest monthly in arrears.", "NUMBER 12 time/year | pay interest\n"},
    {"The monthly rent is $500.", "AMOUNT 500 USD | monthly rent\n"},
    {"Backups are made daily and kept for 30 days.", "NUMBER 365 time/year | Backups are made\n"
                                                     "PERIOD 30 day | kept\n"},
    {"The audit takes place once every two years.", "NUMBER 0.5 time/year | audit takes place\n"},
    {"The pump is inspected every other month.", "NUMBER 6 time/year | pump is inspected\n"},
    {"An audit may be held once in each Contract Year.", "NUMBER 1 time/year | audit may be held\n"},
    {"The scaffold is inspected once in three months.", "NUMBER 4 time/year | scaffold is inspected\n"},
    {"The shop is open from 8.30 a.m. to 5 p.m.", "NUMBER 8.5..17 time of day | shop is open\n"},
    {"The probe is 8.30 mm long.", "NUMBER 8.3 mm | probe\n"},
    {"It opens at 4 a.m.", "NUMBER 4 time of day | It opens\n"},
    {"The shop is open from 9 a.m. to 8 p.m.", "NUMBER 9..20 time of day | shop is open\n"},
    {"Orders received by 14:00 CET are executed the same day.", "NUMBER 14 time of day | Orders received\n"},
    {"Quiet hours are between 22:30 and 06:00.", "NUMBER 22.5 time of day | Quiet hours\n"
                                                 "NUMBER 6 time of day | Quiet hours\n"},
    {"The mobile phase is acetonitrile and water, 60:40 by volume.", ""},
    {"Call half an hour before you are due.", "PERIOD 0.5 hour | Call -> before you are due\n"},
    {"Liability is capped at half of what is owed.", "PERCENT <=50 % | Liability -> what is owed\n"},
    {"He owes as much as fifty thousand euros.", "AMOUNT <=50000 EUR | He owes\n"},
    {"Marlin gets two reports a year.", "NUMBER 2 | reports\n"},
    {"Advertising was $641 million, $523 million and $495 million in 2016, 2015 and 2014.",
     "AMOUNT 641000000 USD | Advertising\n"
     "AMOUNT 523000000 USD | Advertising\n"
     "AMOUNT 495000000 USD | Advertising\n"
     "DATE 2016-00-00 | Advertising\n"
     "DATE 2015-00-00 | 495 million in 2016\n"
     "DATE 2014-00-00 | Advertising\n"},
    {"The 2018 Proxy Statement is filed.", "DATE 2018-00-00\n"},
    {"Rent is paid each month.", ""},
    {"The sensor answers within 48 ms.", "NUMBER <=48 ms | sensor answers\n"},
    {"Turbidity stays below 0.10 NTU.", "NUMBER <0.1 NTU | Turbidity stays\n"},
    {"Meals are served at noon.", "NUMBER 12 time of day | Meals are served\n"},
    {"Within five (5) business days after the date of this Agreement, Primus HQ will deliver the Source Code.",
     "PERIOD <=5 day BUS | deliver the Source Code -> after the date of this Agreement\n"},
    {"By 30 June 2024, the Buyer shall confirm the order.", "DATE <=2024-06-30 | confirm the order\n"},
    {"The Supplier pays a one-time license fee of $100,000 due on signing.",
     "AMOUNT 100000 USD | one-time license fee\n"},
    {"The brand marks which the Supplier uses in Japan (the \"Primus Marks\") are protected.", ""},
    {"A total of 240 patients will be enrolled at 18 sites.",
     "NUMBER 240 patient | total\n"
     "TOTAL 240 patient | total\n"
     "NUMBER 18 site | total of 240 patients will be enrolled\n"},
    {"The minimum fee is $50.", "AMOUNT >=50 USD | minimum fee\n"},
    {"The battery runs for 8 h.", "PERIOD 8 hour | battery runs\n"},
    {"In no event shall the Builder’s liability for liquidated damages exceed $500,000.",
     "AMOUNT <=500000 USD | Builder’s liability for liquidated damages\n"},
    {"Liquidated damages shall accrue at the rate of $15,000 for each calendar day.",
     "AMOUNT 15000 USD | Liquidated damages shall accrue\n"},
    {"Owner shall within ten (10) Business Days after discovery of the defect notify Builder in writing.",
     "PERIOD <=10 day BUS | after discovery of the defect notify Builder in writing -> after discovery of the defect "
     "notify Builder in writing\n"},
    {"No single order may exceed 200 units.", "NUMBER <=200 unit | No single order\n"},
    {"The term shall not, in any event, be more than 30 days.", "PERIOD <=30 day | term\n"},
};

static const struct facts_case tables[] = {
    {"Item | Price (USD) | Qty\nBolt | 1,200.50 | 10\nTotal | 1,200.50 | 10",
     "AMOUNT 1200.5 USD | Bolt -> Price (USD)\n"
     "NUMBER 10 | Bolt -> Qty\n"
     "AMOUNT 1200.5 USD | Total -> Price (USD)\n"
     "TOTAL 1200.5 USD | Total -> Price (USD)\n"
     "NUMBER 10 | Total -> Qty\n"
     "TOTAL 10 | Total -> Qty\n"},
    {"Amounts in thousands of euros.\nRevenue | 2021 | 2020\nSales | 1,250 | 1,100\nLoss | (250) | -\nTotal | 1,000 | "
     "1,100",
     "AMOUNT 1250000 EUR | Sales -> 2021\n"
     "AMOUNT 1100000 EUR | Sales -> 2020\n"
     "AMOUNT -250000 EUR | Loss -> 2021\n"
     "AMOUNT 1000000 EUR | Total -> 2021\n"
     "TOTAL 1000000 EUR | Total -> 2021\n"
     "AMOUNT 1100000 EUR | Total -> 2020\n"
     "TOTAL 1100000 EUR | Total -> 2020\n"},
    {"In millions.\nItem | 2022 | 2022-2021\nSales | $ 16 | 5 %\nServices | 7 | 4 %\nNumber of staff | 9 | 1 %",
     "AMOUNT 16000000 USD | Sales -> 2022\n"
     "PERCENT 5 % | Sales -> 2022-2021\n"
     "AMOUNT 7000000 USD | Services -> 2022\n"
     "PERCENT 4 % | Services -> 2022-2021\n"
     "NUMBER 9000000 | Number of staff -> 2022\n"
     "PERCENT 1 % | Number of staff -> 2022-2021\n"},
    {"Bolt size | Torque (Nm)\nM8 | 25\nM10 | 49", "NUMBER 25 Nm | M8 -> Torque (Nm)\n"
                                                   "NUMBER 49 Nm | M10 -> Torque (Nm)\n"},
    {"Support level | Response time\nGold | 2 hours\nSilver | within 8 business hours",
     "PERIOD 2 hour | Gold -> Response time\n"
     "PERIOD <=8 hour BUS | Silver -> Response time\n"},
    {"Lender | Commitment\nBank Helm | EUR 45m\nNordkap Spar | EUR 25m\nTotal | EUR 70m",
     "AMOUNT 45000000 EUR | Bank Helm -> Commitment\n"
     "AMOUNT 25000000 EUR | Nordkap Spar -> Commitment\n"
     "AMOUNT 70000000 EUR | Total -> Commitment\n"
     "TOTAL 70000000 EUR | Total -> Commitment\n"},
    {"Region | Share (%)\nNorth | 40\nSouth | 60", "PERCENT 40 % | North -> Share (%)\n"
                                                   "PERCENT 60 % | South -> Share (%)\n"},
    {"Model | Units sold\nHP-200 | 120 units", "NUMBER 120 unit | HP-200 -> Units sold\n"},
    {"Feature | Sarno 4 | Sarno 2\nOperating time (h) | 6 | 4\nMass [kg] | 1.2 | 1.1",
     "PERIOD 6 hour | Operating time (h) -> Sarno 4\n"
     "PERIOD 4 hour | Operating time (h) -> Sarno 2\n"
     "NUMBER 1.2 kg | Mass [kg] -> Sarno 4\n"
     "NUMBER 1.1 kg | Mass [kg] -> Sarno 2\n"},
    {"The total of all payments is $12,500.", "AMOUNT 12500 USD | total of all payments\n"
                                              "TOTAL 12500 USD | total of all payments\n"},
};

static void check(const struct facts_case *cases, size_t n, uint32_t mask) {
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) failed += rendered_wrong(cases[i].text, cases[i].text, cases[i].facts, mask);
    assert_int_equal(failed, 0);
}

#define VALUES 0x21fu /* amount, percentage, number, date, period, total */
#define TEST(what, name)                                                                                               \
    static void what(void **state) {                                                                                   \
        (void)state;                                                                                                   \
        check(name, sizeof name / sizeof *name, VALUES);                                                               \
    }
TEST(test_amounts_with_currency_scale_and_words, money)
TEST(test_percentages_in_figures_words_and_fractions, percentages)
TEST(test_periods_with_bounds_and_anchors, periods)
TEST(test_dates_in_all_styles, dates)
TEST(test_quantities_with_units, quantities)
TEST(test_how_often_and_at_what_hour, frequencies)
TEST(test_values_in_clauses_of_all_kinds, mixed)
TEST(test_numbers_that_are_no_values, no_values)
TEST(test_table_cells_take_label_header_scale_and_currency, tables)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amounts_with_currency_scale_and_words),
        cmocka_unit_test(test_percentages_in_figures_words_and_fractions),
        cmocka_unit_test(test_periods_with_bounds_and_anchors),
        cmocka_unit_test(test_dates_in_all_styles),
        cmocka_unit_test(test_quantities_with_units),
        cmocka_unit_test(test_how_often_and_at_what_hour),
        cmocka_unit_test(test_values_in_clauses_of_all_kinds),
        cmocka_unit_test(test_numbers_that_are_no_values),
        cmocka_unit_test(test_table_cells_take_label_header_scale_and_currency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
